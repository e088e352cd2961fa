#!/bin/sh
# s3rver mixes the bytes of two PUTs of one key at the same time.
#
# s3rver 3.7.1 (npm) writes an object to its file as it comes, and not beside it first. Of two writers that meet, the shorter
# one's bytes are followed by the rest of the longer one's: an object that nobody sent, and that stays.
#
# Output seen: "mixed after N rounds".
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
import sys, threading, time, urllib.request

url = f"http://127.0.0.1:{sys.argv[1]}/bucket/key"
bodies = [b"a" * 3_000_000, b"b" * 1_000_000]


def ask(method, data=None):
    return urllib.request.urlopen(urllib.request.Request(url, method=method, data=data), timeout=30).read()


for attempt in range(300):
    try:
        ask("PUT", b"first")
        break
    except OSError:
        time.sleep(0.1)
for round in range(1, 201):
    writers = [threading.Thread(target=ask, args=("PUT", body)) for body in bodies]
    [writer.start() for writer in writers]
    [writer.join() for writer in writers]
    if ask("GET") not in bodies:
        print(f"mixed after {round} rounds")
        sys.exit(0)
sys.exit("it has changed: 200 rounds, and no object was mixed")
PYTHON
