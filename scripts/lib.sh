# Shared by the scripts of this folder, which source it.
# shellcheck shell=bash disable=SC2034  # used by those

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=${JOBS:-$(nproc)}

# ccache, where there is one, makes the second run short.
launcher=()
if command -v ccache >/dev/null; then
  launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
fi

say() { printf '== %s\n' "$*"; }

# run_quietly LOG COMMAND...: the output goes to LOG and is shown only where the command fails.
run_quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1; then
    tail -n 100 "$log"
    printf 'failed: %s\nwhole output: %s\n' "$*" "$log"
    return 1
  fi
}

passed=0 failed=0 skipped=0

# count_junit FILE: adds the numbers of CTest's JUnit file to passed, failed and skipped. A missing file is a failure.
count_junit() {
  local suite tests failures disabled skips
  suite=
  if [ -f "$1" ]; then suite=$(tr '\n\t' '  ' <"$1" | grep -o '<testsuite [^>]*>' | head -n 1) || suite=; fi
  if [ -z "$suite" ]; then
    failed=$((failed + 1))
    return
  fi
  attribute() { printf '%s' "$suite" | sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p"; }
  tests=$(attribute tests) failures=$(attribute failures) disabled=$(attribute disabled) skips=$(attribute skipped)
  passed=$((passed + ${tests:-0} - ${failures:-0} - ${disabled:-0} - ${skips:-0}))
  failed=$((failed + ${failures:-0}))
  skipped=$((skipped + ${disabled:-0} + ${skips:-0}))
}

# close_with_counts: the plain last line; the status says whether everything passed and anything ran.
close_with_counts() {
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
