#!/bin/sh
# Runs PROGRAM twice and fails unless its output has the same bytes both times:
#
#   compare.sh tier TIER PROGRAM [ARG...]       HEADRACE_CPU=reference against HEADRACE_CPU=TIER
#   compare.sh cpu MODEL TIER PROGRAM [ARG...]  this machine against qemu-user's processor MODEL, on which the
#                                               program must choose TIER by itself
#
# PROGRAM prints its results on stdout and "tier: NAME" on stderr (program_backend.h does); exit status 77 says
# that this machine lacks the tier, and is passed on.
set -eu

usage() {
  echo "usage: compare.sh tier TIER PROGRAM [ARG...] | compare.sh cpu MODEL TIER PROGRAM [ARG...]" >&2
  exit 2
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# run NAME COMMAND...: stdout to $work/NAME, stderr to $work/NAME.log.
run() {
  name=$1
  shift
  status=0
  "$@" >"$work/$name" 2>"$work/$name.log" || status=$?
  [ $status -eq 0 ] && return
  cat "$work/$name.log" >&2
  [ $status -eq 77 ] && exit 77
  echo "exit status $status: $*" >&2
  exit 1
}

[ $# -ge 3 ] || usage
case $1 in
  tier)
    tier=$2
    shift 2
    run expected env HEADRACE_CPU=reference "$@"
    run found env HEADRACE_CPU="$tier" "$@"
    ;;
  cpu)
    [ $# -ge 4 ] || usage
    model=$2
    tier=$3
    shift 3
    if ! command -v "${QEMU:-qemu-x86_64}" >/dev/null 2>&1; then
      echo "qemu-x86_64 is missing: install Debian's package qemu-user (make deps does)" >&2
      exit 1
    fi
    run expected env -u HEADRACE_CPU "$@"
    run found env -u HEADRACE_CPU "${QEMU:-qemu-x86_64}" -cpu "$model" "$@"
    ;;
  *) usage ;;
esac

if ! grep -qx "tier: $tier" "$work/found.log"; then
  echo "expected the tier $tier, found: $(grep '^tier: ' "$work/found.log" || echo none)" >&2
  exit 1
fi
if [ ! -s "$work/expected" ]; then
  echo "no output to compare" >&2
  exit 1
fi
if ! diff "$work/expected" "$work/found" >&2; then
  echo "output differs" >&2
  exit 1
fi
