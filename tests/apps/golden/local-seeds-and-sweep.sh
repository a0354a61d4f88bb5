#!/bin/bash
# mainstem finetune on this machine, 1 node; run there on 2026-11-29.

set -uo pipefail
export MAINSTEM_HOME="${MAINSTEM_HOME:-$HOME/.mainstem}"
export MAINSTEM_PEAKS=runs/a.job  # where it tells how much memory it took
if ! command -v mainstem > /dev/null; then
  echo "mainstem: it is not installed; mainstem env build local makes an environment" >&2
  exit 2
fi

trap 'exit 143' TERM
status=0
for index in 0 1 2 3; do
  case "$index" in
    0) own=(--set training.lr_per_step=0.001 --seed 0 --out runs/a/sweep-0/seed-0) ;;
    1) own=(--set training.lr_per_step=0.001 --seed 1 --out runs/a/sweep-0/seed-1) ;;
    2) own=(--set training.lr_per_step=0.0003 --seed 0 --out runs/a/sweep-1/seed-0) ;;
    3) own=(--set training.lr_per_step=0.0003 --seed 1 --out runs/a/sweep-1/seed-1) ;;
  esac
  command=(mainstem finetune crop-yield --data simulated-maize "${own[@]}")
  ended=0
  timeout --foreground --kill-after=120 7200 "${command[@]}" || ended=$?
  if [ "$ended" -eq 124 ]; then echo "mainstem: its time, 02:00:00, is over" >&2; fi
  if [ "$ended" -ne 0 ]; then status=$ended; fi
done
exit "$status"
