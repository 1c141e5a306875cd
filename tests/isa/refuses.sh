#!/bin/sh
# refuses.sh STATUS REGEX COMMAND [ARG...]: passes if COMMAND ends with STATUS and what it writes matches the
# extended REGEX. (CTest's PASS_REGULAR_EXPRESSION would not look at the status.)
set -eu
[ $# -ge 3 ] || { echo "usage: refuses.sh STATUS REGEX COMMAND [ARG...]" >&2; exit 2; }
expected=$1
regex=$2
shift 2

status=0
output=$("$@" 2>&1) || status=$?
printf '%s\n' "$output"
if [ $status -ne "$expected" ]; then
  echo "refuses.sh: expected exit status $expected, found $status" >&2
  exit 1
fi
if ! printf '%s\n' "$output" | grep -qE "$regex"; then
  echo "refuses.sh: expected output that matches: $regex" >&2
  exit 1
fi
