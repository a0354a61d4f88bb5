#!/bin/bash
# mainstem evaluate on this machine, 1 node; run there on 2026-11-29.

set -uo pipefail
export MAINSTEM_HOME="${MAINSTEM_HOME:-$HOME/.mainstem}"
export MAINSTEM_PEAKS=runs/a.job  # where it tells how much memory it took
if ! command -v mainstem > /dev/null; then
  echo "mainstem: it is not installed; mainstem env build local makes an environment" >&2
  exit 2
fi

trap 'exit 143' TERM
status=0
out=runs/a own=()
command=(mainstem evaluate crop-yield --data simulated-maize --window 3 --json "${own[@]}")
mkdir -p "$out"
ended=0
timeout --foreground --kill-after=120 7200 "${command[@]}" > "$out/evaluate.json.part" || ended=$?
if [ "$ended" -eq 0 ]; then mv "$out/evaluate.json.part" "$out/evaluate.json"; fi
if [ "$ended" -eq 124 ]; then echo "mainstem: its time, 02:00:00, is over" >&2; fi
if [ "$ended" -ne 0 ]; then status=$ended; fi
exit "$status"
