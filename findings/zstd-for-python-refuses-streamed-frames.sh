#!/bin/sh
# The PyPI package zstd refuses a frame that does not say how large its content is, from 128 KiB of content on.
#
# zstd 1.5.7.2 (PyPI), with frames of the command zstd 1.5.4 (Debian 12). A frame written as a stream, as `zstd < layer.tar`
# writes it, does not have the size of its content in its header, which RFC 8878, 3.1.1.1, leaves free, and the package's own
# description says that streamed data are supported since 1.5.6.8. zstd.decompress() of one with up to 131,072 bytes of content
# is right; with one byte more it raises "length mismatch -> decomp 0 != 131072 [header]", though no header says so. Small
# layers pass, and so does every test on small ones; the command zstd, zstandard and pyzstd read both.
#
# Output seen: "131072: right", "131073: Decompression error: length mismatch -> decomp 0 != 131072 [header]", "131073, with
# its size in the header: right".
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet zstd==1.5.7.2
"$dir/venv/bin/python" - "$dir" <<'PYTHON'
import subprocess, sys, zstd

def read(content, streamed):
    if streamed:
        frame = subprocess.run(["zstd", "--quiet"], input=content, capture_output=True, check=True).stdout
    else:
        with open(sys.argv[1] + "/content", "wb") as file:
            file.write(content)
        frame = subprocess.run(["zstd", "--quiet", "--stdout", file.name], capture_output=True, check=True).stdout
    checked = subprocess.run(["zstd", "--quiet", "--decompress"], input=frame, capture_output=True, check=True).stdout
    assert checked == content
    try:
        return "right" if zstd.decompress(frame) == content else "wrong"
    except zstd.Error as error:
        return str(error)

layer = b"layer" * 30_000
seen = [f"131072: {read(layer[:131072], True)}", f"131073: {read(layer[:131073], True)}",
        f"131073, with its size in the header: {read(layer[:131073], False)}"]
print(*seen, sep="\n")
assert seen == ["131072: right", "131073: Decompression error: length mismatch -> decomp 0 != 131072 [header]",
                "131073, with its size in the header: right"], "it has changed"
PYTHON
