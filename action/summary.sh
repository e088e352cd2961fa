#!/usr/bin/env bash
# Describes caches in the summary of the job. It never fails a job: what cannot be read is said in the summary.
set -uo pipefail

# The output of a verb as a block of text, whatever its exit code.
block() {
    echo '```text'
    buildcache "$@" --progress quiet 2>&1
    echo '```'
}

{
    specs=()
    while IFS= read -r spec; do
        [ -n "${spec// /}" ] || continue
        specs+=("$spec")
        echo "### Build cache"
        echo
        block inspect "$spec"
        block verify --fast "$spec"
    done <<<"$SPECS"

    if [ -n "$BUILD_LOG" ]; then
        echo "### What hit, and what did not"
        echo
        block explain "${specs[@]:0:2}" --log "$BUILD_LOG"
    fi
    if [ -n "$REPORT" ]; then
        buildcache report "${specs[@]}" ${BUILD_LOG:+--log "$BUILD_LOG"} --output "$REPORT" --progress quiet 2>&1 &&
            echo "The page about these caches is in \`$REPORT\`."
    fi
} >>"$GITHUB_STEP_SUMMARY"
exit 0
