#!/bin/sh
# s3rver answers 500 to every list that does not fit on one page, under Node 17 and newer.
#
# s3rver 3.7.1 (npm; it asks for Node 8.3 or newer) makes the token that continues a ListObjectsV2 with the cipher DES
# (lib/controllers/bucket.js), which OpenSSL 3, and so Node since 17, has no more by default. A page that ends before the list
# does, at max-keys or at 1,000 keys, is 500 InternalError; what fits on one page is 200. A cache of more than 1,000 blobs can
# be written there and read, and not be listed: nothing that cleans up can run. ListObjects of version 1, which goes on by
# keys, is right, and so is version 2 with Node's --openssl-legacy-provider. The 500 is no hint at any of it.
#
# Output seen: "3 keys, 3 a page: 200", "3 keys, 2 a page: 500 InternalError", "version 1, 2 a page: 200 a b, then c".
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -9 "$server"; rm -rf "$dir"' EXIT
npm install --no-audit --no-fund --silent --prefix "$dir" s3rver@3.7.1
node -e 'process.exit(parseInt(process.versions.openssl) >= 3 ? 0 : 1)' || { echo "this needs a Node with OpenSSL 3"; exit 1; }
mkdir "$dir/data"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
NODE_OPTIONS= "$dir/node_modules/.bin/s3rver" -d "$dir/data" -a 127.0.0.1 -p "$port" -s --configure-bucket bucket &
server=$!
python3 - "$port" <<'PYTHON'
import re, sys, time, urllib.error, urllib.request

base = f"http://127.0.0.1:{sys.argv[1]}/bucket"

def ask(method, path, body=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(base + path, body, method=method), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()

def keys(text):
    return " ".join(re.findall("<Key>([^<]*)<", text))

for attempt in range(300):
    try:
        ask("PUT", "/a", b"1")
        break
    except OSError:
        time.sleep(0.1)
for key in "abc":
    assert ask("PUT", "/" + key, b"1")[0] == 200
seen = [f"3 keys, 3 a page: {ask('GET', '?list-type=2&max-keys=3')[0]}"]
status, text = ask("GET", "?list-type=2&max-keys=2")
seen.append(f"3 keys, 2 a page: {status} " + "".join(re.findall("<Code>([^<]*)<", text)))
status, text = ask("GET", "?max-keys=2")
seen.append(f"version 1, 2 a page: {status} {keys(text)}, then {keys(ask('GET', '?max-keys=2&marker=b')[1])}")
print(*seen, sep="\n")
assert seen == ["3 keys, 3 a page: 200", "3 keys, 2 a page: 500 InternalError",
                "version 1, 2 a page: 200 a b, then c"], "it has changed"
PYTHON
