#!/bin/sh
# Does every patch in tests/verify/planted still apply to src/, exactly? Fails with the names of those that do not.
set -eu
cd "$(dirname "$0")/../.."
failures=0
for change in tests/verify/planted/*.patch; do
  # Nothing but src/ may be touched: that is all that the planted build copies.
  if grep -E '^(---|\+\+\+) ' "$change" | grep -qvE '^(--- a|\+\+\+ b)/src/'; then
    echo "$change touches more than src/"
    failures=1
  elif ! output=$(patch --dry-run --strip=1 --fuzz=0 --force --input="$change" 2>&1); then
    printf '%s does not apply:\n%s\n' "$change" "$output"
    failures=1
  elif ! grep -q '^# shows: ' "$change"; then
    echo "$change does not say what it shows"
    failures=1
  fi
done
exit $failures
