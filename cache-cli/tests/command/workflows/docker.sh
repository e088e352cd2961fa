#!/usr/bin/env bash
# Stands for docker: `buildx build` writes a cache that BuildKit made, another one each time; nothing else does anything.
# With BUILDKIT_HOST and BUILDKIT_CONTEXT, buildctl builds that folder instead.
set -euo pipefail
[ "$1 ${2:-}" = "buildx build" ] || exit 0

made=(v0.32/max-manifest v0.20/max-manifest v0.12/max-index)
number="$(cat "$BUILDS" 2>/dev/null || echo 0)"
echo $((number + 1)) >"$BUILDS"

from=() to=()
while [ $# -gt 0 ]; do
    case "$1" in
        --cache-from) from+=("$2") && shift ;;
        --cache-to) to+=("$2") && shift ;;
    esac
    shift
done

if [ -n "${BUILDKIT_HOST:-}" ]; then
    options=()
    for spec in "${from[@]}"; do options+=(--import-cache "$spec"); done
    for spec in "${to[@]}"; do options+=(--export-cache "${spec/,src=/,dest=}"); done
    exec buildctl build --frontend dockerfile.v0 --progress plain "${options[@]}" \
        --local "context=$BUILDKIT_CONTEXT" --local "dockerfile=$BUILDKIT_CONTEXT"
fi

for spec in "${from[@]}"; do
    code=0
    buildcache inspect -q "$spec" >/dev/null || code=$?
    # A build goes on where there is no cache.
    [ $code -eq 0 ] || [ $code -eq 4 ] || exit $code
done
for spec in "${to[@]}"; do
    buildcache copy -q "type=local,src=$FIXTURES/${made[number % 3]}" "$spec" >/dev/null
done
