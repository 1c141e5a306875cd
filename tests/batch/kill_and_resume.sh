#!/usr/bin/env bash
# A batch that is killed (SIGKILL) at three random moments and resumed writes what one that was left alone writes:
#
#   tests/batch/kill_and_resume.sh HEADRACE MODEL REQUESTS.jsonl [FLAGS...]
#
# make_requests.py writes such requests. Prints what happened; fails if a byte differs, or a line is missing.
set -euo pipefail
shopt -s nullglob
program=$1
model=$2
requests=$3
flags=("${@:4}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

start=$(date +%s%N)
"$program" batch -m "$model" "$requests" "$work/alone.jsonl" "${flags[@]}" 2> "$work/alone.log" || { cat "$work/alone.log"; exit 1; }
took_ms=$((($(date +%s%N) - start) / 1000000))
tail -n 3 "$work/alone.log"

killed=0
for round in 1 2 3; do
  "$program" batch -m "$model" "$requests" "$work/killed.jsonl" "${flags[@]}" 2> "$work/killed.log" &
  pid=$!
  # Somewhere in the next third of the work, loading included.
  wait_ms=$((took_ms * (RANDOM % 60 + 20) / 100 / 3))
  sleep "$(printf '%d.%03d' $((wait_ms / 1000)) $((wait_ms % 1000)))"
  if kill -KILL $pid 2> /dev/null; then
    killed=$((killed + 1))
    wait $pid 2> /dev/null || true
    echo "killed after $wait_ms ms with $(($(wc -l < "$work/killed.jsonl.part" 2> /dev/null || echo 1) - 1)) lines finished"
  fi
done
"$program" batch -m "$model" "$requests" "$work/killed.jsonl" "${flags[@]}" 2> "$work/killed.log" || { cat "$work/killed.log"; exit 1; }
tail -n 3 "$work/killed.log"

lines=$(wc -l < "$requests")
written=$(cat "$work/killed.jsonl" "$work"/killed*errors.jsonl | wc -l)
echo "$killed of 3 killed; $lines requests, $written lines written"
[ "$killed" -eq 3 ] && [ "$lines" -eq "$written" ]
cmp "$work/alone.jsonl" "$work/killed.jsonl"
for errors in "$work"/alone*errors.jsonl; do
  cmp "$errors" "${errors/alone/killed}"
done
echo "the same bytes"
