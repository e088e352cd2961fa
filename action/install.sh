#!/usr/bin/env bash
# Installs a release as a command, and as a plugin of Docker. An archive whose checksum is not known beforehand is not unpacked.
set -euo pipefail

fail() {
    echo "::error title=buildcache::$1"
    exit 1
}

pins="$GITHUB_ACTION_PATH/action/SHA256SUMS"

case "$RUNNER_OS-$RUNNER_ARCH" in
    Linux-X64) target=x86_64-unknown-linux-musl ;;
    Linux-ARM64) target=aarch64-unknown-linux-musl ;;
    macOS-X64) target=x86_64-apple-darwin ;;
    macOS-ARM64) target=aarch64-apple-darwin ;;
    Windows-X64) target=x86_64-pc-windows-msvc ;;
    *) fail "there is no release for $RUNNER_OS on $RUNNER_ARCH" ;;
esac

# Lines of SHA256SUMS are "SUM  buildcache-VERSION-TARGET.tar.gz".
if [ -z "$VERSION" ]; then
    VERSION="$(sed -n "s/^[0-9a-f]\{64\}  buildcache-\(.*\)-$target\.tar\.gz$/\1/p" "$pins" | tail -n 1)"
    [ -n "$VERSION" ] || fail "this is not a release of the action, and knows none for $target: use one, or set version and sha256"
fi
case "$VERSION" in
    *[!0-9A-Za-z.+-]*) fail "no release is called like that: expected a version like 0.1.0" ;;
esac

archive="buildcache-$VERSION-$target.tar.gz"
sum="${SHA256:-$(awk -v name="$archive" '$2 == name { print $1 }' "$pins")}"
[ -n "$sum" ] || fail "the checksum of $archive is not known: set sha256 to that of the release's SHA256SUMS"

folder="$RUNNER_TEMP/buildcache-$VERSION"
mkdir -p "$folder"
curl --fail --silent --show-error --location --retry 5 --max-time 600 \
    --output "$folder/$archive" "$RELEASES/v$VERSION/$archive" ||
    fail "cannot download $RELEASES/v$VERSION/$archive"

if command -v sha256sum >/dev/null; then
    found="$(sha256sum <"$folder/$archive")"
else
    found="$(shasum -a 256 <"$folder/$archive")"
fi
found="${found%% *}"
[ "$found" = "$sum" ] || fail "$archive has the checksum $found, and $sum is expected"

tar -xzf "$folder/$archive" -C "$folder" --strip-components 1
plugins="${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"
mkdir -p "$plugins"
suffix=""
[ "$RUNNER_OS" != Windows ] || suffix=.exe
cp "$folder/bin/buildcache$suffix" "$plugins/docker-buildcache$suffix"
echo "$folder/bin" >>"$GITHUB_PATH"
echo "version=$VERSION" >>"$GITHUB_OUTPUT"
"$folder/bin/buildcache$suffix" --version
