#!/usr/bin/env bash
# Do the fuzzers find bugs? Each patch in tests/fuzz/planted breaks a reader in a way that is easy to overlook. In a
# copy of the tree, the fuzzer that the file is named after gets SECONDS (default 600), from the committed corpus,
# to find it. Prints how long it took, and whether the corpus alone would have told. Fails where one is not found.
#
#   tests/fuzz/planted_bugs.sh [SECONDS [NAME...]]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-600}
names=("${@:2}")
if [ ${#names[@]} -eq 0 ]; then
  for change in tests/fuzz/planted/*.patch; do names+=("$(basename "$change" .patch)"); done
fi

tools/install-deps --fuzz
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
cp -r --parents tests/fuzz/planted "$copy"
cd "$copy"
cmake --preset fuzz > configure.log || { cat configure.log; exit 1; }

failures=0
for name in "${names[@]}"; do
  change=tests/fuzz/planted/$name.patch
  target=${name%%-*}
  patch --quiet --strip=1 < "$change"
  cmake --build build/fuzz -j "$(nproc)" --target "fuzz_$target" > build.log || { tail -n 40 build.log; exit 1; }
  program=build/fuzz/tests/fuzz_$target
  read -ra options <<< "-timeout=25 -rss_limit_mb=2048 -artifact_prefix=$copy/found- $(cat "tests/fuzz/$target.options")"
  inputs=("tests/fuzz/corpus/$target")
  [ ! -d "tests/fuzz/seeds/$target" ] || inputs+=("tests/fuzz/seeds/$target")
  replay=silent
  "$program" "${options[@]}" -runs=0 "${inputs[@]}" > replay.log 2>&1 || replay="finds it already"
  mkdir -p "new/$name"
  start=$SECONDS
  "$program" "${options[@]}" -max_total_time="$seconds" "new/$name" "${inputs[@]}" > run.log 2>&1 || true
  elapsed=$((SECONDS - start))
  # Only a finding counts, not a fuzzer that fails for another reason.
  reason=$(grep -aoE 'check failed.*|ERROR: [A-Za-z]+: [a-zA-Z-]+( after [0-9]+ seconds)?|runtime error:.*' run.log | head -n 1 || true)
  if [ -n "$reason" ]; then
    echo "$name: found after $elapsed s: $reason (the corpus alone: $replay)"
  else
    echo "$name: NOT FOUND in $seconds s (the corpus alone: $replay)"
    failures=$((failures + 1))
  fi
  patch --quiet --strip=1 --reverse < "$change"
done
exit $((failures > 0))
