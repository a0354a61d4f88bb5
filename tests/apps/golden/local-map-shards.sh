#!/bin/bash
# mainstem map on this machine, 1 node; run there on 2026-11-29.

set -uo pipefail
export MAINSTEM_HOME="${MAINSTEM_HOME:-$HOME/.mainstem}"
export MAINSTEM_PEAKS=maps/a.job  # where it tells how much memory it took
if ! command -v mainstem > /dev/null; then
  echo "mainstem: it is not installed; mainstem env build local makes an environment" >&2
  exit 2
fi

trap 'exit 143' TERM
status=0
command=(mainstem map crop-yield a.tif --out maps/a)
ended=0
timeout --foreground --kill-after=120 7200 "${command[@]}" || ended=$?
if [ "$ended" -eq 124 ]; then echo "mainstem: its time, 02:00:00, is over" >&2; fi
if [ "$ended" -ne 0 ]; then status=$ended; fi
exit "$status"
