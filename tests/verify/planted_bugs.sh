#!/usr/bin/env bash
# Does `headrace verify` find bugs? Each patch in tests/verify/planted puts one into a copy of src/
# (HEADRACE_PLANT, cmake/Plant.cmake); verify must report a difference. Prints a table in Markdown; fails where
# a bug is not found, or where the build without one does not pass.
#
#   tests/verify/planted_bugs.sh [--trials N] [--bug NAME]... [MODEL...]
#
# Without a MODEL (a GGUF file or a folder) tiny ones are made. The lines before a patch's diff say what it does
# (shows), under which condition alone (edge), which models it needs (model: a part of the file's name) and which
# flags of verify (flags).
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=tests/verify/planted
trials=1000
bugs=()
models=()
while [ $# -gt 0 ]; do
  case $1 in
    --trials) trials=$2; shift 2 ;;
    --bug) bugs+=("$2"); shift 2 ;;
    -*) echo "usage: $0 [--trials N] [--bug NAME]... [MODEL...]" >&2; exit 2 ;;
    *) models+=("$1"); shift ;;
  esac
done
if [ ${#bugs[@]} -eq 0 ]; then
  for patch in "$folder"/*.patch; do bugs+=("$(basename "$patch" .patch)"); done
fi

jobs=${JOBS:-$(nproc)}
mkdir -p build
log=build/planted_bugs.log
build() {  # folder target; cmake's arguments
  cmake --preset release -B "$1" "${@:3}" > "$log" 2>&1 && cmake --build "$1" -j "$jobs" --target "$2" > "$log" 2>&1 ||
    { tail -n 40 "$log" >&2; exit 1; }
}

build build/release headrace
if [ ${#models[@]} -eq 0 ]; then
  build build/release make_tiny_model
  mkdir -p build/planted_models
  # A window of a few pages, so that pages are given up while others still are in it.
  for model in llama-F32 gemma3-F32-150 llama-Q8_0; do
    file=build/planted_models/$model.gguf
    IFS=- read -ra kind <<< "$model"
    build/release/tests/make_tiny_model "$file" "${kind[@]}"
    models+=("$file")
  done
fi

# Sets code and said, verify's exit code and last line.
verify() {  # program, model, verify's flags
  code=0
  "$1" verify -m "$2" --trials "$trials" --seed 1 --quiet "${@:3}" > "$log" 2>&1 || code=$?
  said=$(tail -n 1 "$log")
}

# The same check finds nothing where there is nothing to find.
for model in "${models[@]}"; do
  verify build/release/headrace "$model"
  echo "without a bug, $(basename "$model"): exit code $code. $said" >&2
  [ "$code" = 0 ] || { cat "$log" >&2; exit 1; }
done

missed=0
echo "| bug | what it does | only | found | model | first trial | where |"
echo "|---|---|---|---|---|---|---|"
for bug in "${bugs[@]}"; do
  header() { sed -n "/^---/q; s/^# $1: //p" "$folder/$bug.patch"; }
  build build/planted headrace "-DHEADRACE_PLANT=$bug" -DHEADRACE_TESTS=OFF
  read -ra flags <<< "$(header flags)"
  needs=$(header model)
  needs=${needs,,}
  row="NO | - | - | no model named *$needs* |"
  for model in "${models[@]}"; do
    name=$(basename "$model")
    case ${name,,} in *"$needs"*) ;; *) continue ;; esac
    verify build/planted/headrace "$model" "${flags[@]}"
    if [ "$code" = 7 ]; then
      trial=$(sed -n 's/.*the first, trial \([0-9]*\):.*/\1/p' <<< "$said")
      where=$(sed -n 's/.*the first, trial [0-9]*: //p' <<< "$said" | sed 's/ (expected.*//; s/|/,/g')
      row="yes | $name | ${trial:--} | ${where:-$said} |"
      break
    fi
    row="NO | $name | - | exit code $code: ${said//|/,} |"
  done
  echo "| $bug | $(header shows) | $(header edge) | $row"
  case $row in yes*) ;; *) missed=$((missed + 1)) ;; esac
done
echo "$((${#bugs[@]} - missed)) of ${#bugs[@]} bugs found in $trials trials" >&2
exit $((missed > 0))
