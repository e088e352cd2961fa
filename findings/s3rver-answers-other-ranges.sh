#!/bin/sh
# s3rver answers a range of one byte with the whole object, and the last bytes with the first ones.
#
# s3rver 3.7.1 (npm) takes a range apart as numbers (lib/controllers/object.js) and takes an end of 0 for none, and an empty
# start for 0. Of the ten bytes 0123456789, bytes=0-0 gets all ten, and bytes=-3 gets 0123, each with 206 and a Content-Range
# that says so; an object without a byte answers bytes=0- with 206, promises one byte and sends none. By RFC 9110, 14.1.2,
# bytes=0-0 is the first byte, bytes=-3 the last three, and S3 answers 416 InvalidRange for an object without one. Who reads
# one byte to see whether a blob is there, or the end of a layer for its eStargz footer, gets other bytes than these.
#
# Output seen: "bytes=0-0: bytes 0-9/10 b'0123456789'", "bytes=-3: bytes 0-3/10 b'0123'", "bytes=7-: bytes 7-9/10 b'789'",
# "empty: 206, 1 promised, 0 sent".
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
import http.client, sys, time, urllib.request

base = f"http://127.0.0.1:{sys.argv[1]}/bucket/"

def ask(method, key, body=None, **headers):
    with urllib.request.urlopen(urllib.request.Request(base + key, body, headers, method=method), timeout=30) as answer:
        try:
            return answer.status, answer.headers, answer.read()
        except http.client.IncompleteRead as error:
            return answer.status, answer.headers, error.partial

for attempt in range(300):
    try:
        ask("PUT", "ten", b"0123456789")
        break
    except OSError:
        time.sleep(0.1)
ask("PUT", "empty", b"")
seen = []
for wanted in ("bytes=0-0", "bytes=-3", "bytes=7-"):
    status, headers, body = ask("GET", "ten", Range=wanted)
    assert status == 206, "it has changed"
    seen.append(f"{wanted}: {headers['Content-Range']} {body}")
status, headers, body = ask("GET", "empty", Range="bytes=0-")
seen.append(f"empty: {status}, {headers['Content-Length']} promised, {len(body)} sent")
print(*seen, sep="\n")
assert seen == ["bytes=0-0: bytes 0-9/10 b'0123456789'", "bytes=-3: bytes 0-3/10 b'0123'", "bytes=7-: bytes 7-9/10 b'789'",
                "empty: 206, 1 promised, 0 sent"], "it has changed"
PYTHON
