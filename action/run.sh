#!/usr/bin/env bash
# Runs verbs, one a line. A line is split at blanks and nothing in it is evaluated.
set -uo pipefail

code=0
while IFS= read -r line; do
    read -ra words <<<"$line"
    [ ${#words[@]} -gt 0 ] || continue
    echo "::group::buildcache ${words[0]}"
    buildcache "${words[@]}" || code=$?
    echo "::endgroup::"
    [ $code -eq 0 ] || break
done <<<"$VERBS"

echo "exit-code=$code" >>"$GITHUB_OUTPUT"
exit $code
