#!/bin/sh
# s3rver stores the frames of an upload in chunks as bytes of the object.
#
# s3rver 3.7.1 (npm). Content-Encoding: aws-chunked puts a length before each chunk of the body, and a signature or, behind the
# last one, a checksum. BuildKit 0.31 sends such bodies, and so do newer AWS SDKs (STREAMING-UNSIGNED-PAYLOAD-TRAILER); the
# signed form, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, is one that s3rver's own error message names as right
# (lib/middleware/authentication.js). Nothing in it takes either form apart: the answer is 200, and the object is the frames
# with the bytes between them, though x-amz-decoded-content-length says 5. Nobody is told until a layer does not decompress. By
# S3's documentation of chunked uploads, the object is the decoded bytes.
#
# Output seen: "unsigned: PUT 200, 5 bytes sent, 46 kept", "signed: PUT 200, 5 bytes sent, 177 kept".
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -9 "$server"; rm -rf "$dir"' EXIT
npm install --no-audit --no-fund --silent --prefix "$dir" s3rver@3.7.1
mkdir "$dir/data"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$dir/node_modules/.bin/s3rver" -d "$dir/data" -a 127.0.0.1 -p "$port" -s --configure-bucket bucket &
server=$!
python3 - "$port" <<'PYTHON'
import sys, time, urllib.request

base = f"http://127.0.0.1:{sys.argv[1]}/bucket/"
mark = b";chunk-signature=" + b"0" * 64

def put(key, body, digest, **more):
    headers = {"Content-Encoding": "aws-chunked", "x-amz-content-sha256": digest, "x-amz-decoded-content-length": "5", **more}
    url = base + key
    status = urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT"), timeout=30).status
    kept = urllib.request.urlopen(url, timeout=30).read()
    assert (status, kept) == (200, body), "it has changed"
    print(f"{key}: PUT {status}, 5 bytes sent, {len(kept)} kept")

for attempt in range(300):
    try:
        urllib.request.urlopen(base)
        break
    except OSError:
        time.sleep(0.1)
put("unsigned", b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    **{"x-amz-trailer": "x-amz-checksum-crc32"})
put("signed", b"5" + mark + b"\r\nhello\r\n0" + mark + b"\r\n\r\n", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
PYTHON
