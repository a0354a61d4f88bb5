#!/bin/bash
# mainstem finetune on this machine, 1 node; run there on 2026-11-29.

set -uo pipefail
export MAINSTEM_HOME="${MAINSTEM_HOME:-$HOME/.mainstem}"
export MAINSTEM_PEAKS=runs/maize.job  # where it tells how much memory it took
if ! command -v mainstem > /dev/null; then
  echo "mainstem: it is not installed; mainstem env build local makes an environment" >&2
  exit 2
fi

trap 'exit 143' TERM
status=0
own=(--out runs/maize)
command=(mainstem finetune crop-yield --data simulated-maize --set trunk_size=xs --set training.epochs=1 --set training.min_steps=24 --set num_folds=2 "${own[@]}")
ended=0
timeout --foreground --kill-after=120 1800 "${command[@]}" || ended=$?
if [ "$ended" -eq 124 ]; then echo "mainstem: its time, 00:30:00, is over" >&2; fi
if [ "$ended" -ne 0 ]; then status=$ended; fi
exit "$status"
