#!/bin/sh
# s3rver leaves Last-Modified as it was when an object is copied onto itself.
#
# s3rver 3.7.1 (npm). An object is copied onto itself with x-amz-metadata-directive: REPLACE, as BuildKit's S3 cache does once
# a day for each blob that it still uses (touch_refresh), so that rules which delete by age keep it. The answer is 200 and the
# new metadata are there, but HEAD, the list and the answer to the copy itself say the old time: s3rver writes a file for the
# metadata and takes the time of the one for the bytes. S3 counts such a copy as a write of the object, with its time. Here
# blobs look unused for ever, and each export after the first day copies every one again.
#
# Output seen: "copy 200, metadata v2, Last-Modified as before: HEAD True, list True, answer True".
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
import re, sys, time, urllib.request

base = f"http://127.0.0.1:{sys.argv[1]}/bucket"

def ask(method, path, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    with urllib.request.urlopen(urllib.request.Request(base + path, body, headers, method=method), timeout=30) as answer:
        return answer.status, answer.headers, answer.read()

def time_in(xml):
    return re.search(rb"<LastModified>([^<]*)<", xml)[1]

for attempt in range(300):
    try:
        ask("PUT", "/blob", b"layer", x_amz_meta_updated_at="v1")
        break
    except OSError:
        time.sleep(0.1)
head, listed = ask("HEAD", "/blob")[1]["Last-Modified"], time_in(ask("GET", "?list-type=2")[2])
time.sleep(2.5)
status, _, answer = ask("PUT", "/blob", b"", x_amz_copy_source="bucket/blob", x_amz_metadata_directive="REPLACE",
                        x_amz_meta_updated_at="v2")
after = ask("HEAD", "/blob")[1]
same = (after["Last-Modified"] == head, time_in(ask("GET", "?list-type=2")[2]) == listed, time_in(answer) == listed)
said = f"copy {status}, metadata {after['x-amz-meta-updated-at']}, Last-Modified as before: HEAD %s, list %s, answer %s" % same
print(said)
assert said == "copy 200, metadata v2, Last-Modified as before: HEAD True, list True, answer True", "it has changed"
PYTHON
