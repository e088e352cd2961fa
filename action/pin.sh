#!/usr/bin/env bash
# Makes the release that the action installs unless told otherwise: a commit and a tag, from the SHA256SUMS of what was built of HEAD.
#
#   bash action/pin.sh VERSION FILE
#
# The commit adds the checksums and nothing else, and has the time of HEAD: what is built of the tag has the same bytes again.
set -euo pipefail

fail() {
    echo "pin: $1" >&2
    exit 1
}

version="$1" tag="v$1" sums="$2"
targets=(x86_64-unknown-linux-musl aarch64-unknown-linux-musl x86_64-apple-darwin aarch64-apple-darwin x86_64-pc-windows-msvc)

cd "$(dirname "$0")/.."
[ -z "$(git status --porcelain --untracked-files=no)" ] || fail "there are changes that are not committed"

pins=""
for target in "${targets[@]}"; do
    archive="buildcache-$version-$target.tar.gz"
    line="$(grep -E "^[0-9a-f]{64}  $archive\$" "$sums")" || fail "$sums has no checksum of $archive"
    [ "$(wc -l <<<"$line")" -eq 1 ] || fail "$sums has several checksums of $archive"
    pins+="$line"$'\n'
done
printf %s "$pins" >action/SHA256SUMS

# A run that is started again finds what the first one has left.
if git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null; then
    git diff --quiet "$tag" -- || fail "$tag is there, and is of something else"
    exit 0
fi
time="$(git log -1 --format=%cI)"
export GIT_AUTHOR_DATE="$time" GIT_COMMITTER_DATE="$time"
git commit --quiet --message "action: install $version" action/SHA256SUMS
git tag "$tag"
