#!/bin/sh
# Azurite answers 409 BlobAlreadyExists to the first Put Blob of a name for which blocks are staged, and no blob is there.
#
# Azurite 3.37.0 (npm), 3.35.0 alike. One block is staged with Put Block and never committed, as an upload that was stopped
# leaves it: HEAD and GET answer 404 BlobNotFound. Put Blob and Copy Blob with If-None-Match: * are refused with 409
# BlobAlreadyExists, Put Block List with the same condition is not. Azure's documentation of Put Block calls such a block
# uncommitted, no part of any blob until Put Block List. BuildKit takes this 409 to mean that somebody else has written the
# blob, and publishes an index that names it. Delete Blob answers 202, and the blocks can still be committed after it.
#
# Output seen: "staged: HEAD 404, Put Blob 409 BlobAlreadyExists, Copy Blob 409 BlobAlreadyExists, GET 404; delete 202,
# commit 201, GET 200 b'one'; commit with the condition 201" (in one line).
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
npm install --no-audit --no-fund --silent --prefix "$dir" azurite@3.37.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$dir/node_modules/.bin/azurite-blob" --silent --disableTelemetry --inMemoryPersistence --blobHost 127.0.0.1 \
  --blobPort "$port" > "$dir/log" 2>&1 &
server=$!
python3 - "$port" <<'PYTHON'
import base64, email.utils, hashlib, hmac, sys, time, urllib.error, urllib.request
from urllib.parse import parse_qsl

# The account and key that Microsoft publishes for its emulators.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
base = f"http://127.0.0.1:{sys.argv[1]}"

def call(method, path, body=None, **extra):
    path, _, query = f"/{ACCOUNT}{path}".partition("?")
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2024-11-04",
               "Content-Type": "application/octet-stream"}
    headers |= {name.replace("_", "-"): value for name, value in extra.items()}
    special = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-ms-"))
    asked = "".join(f"\n{name}:{value}" for name, value in sorted(parse_qsl(query)))
    said = [method, "", "", str(len(body)) if body else "", "", headers["Content-Type"], "", "", "",
            headers.get("If-None-Match", ""), "", ""]
    text = "\n".join(said) + f"\n{special}/{ACCOUNT}{path}{asked}"
    mark = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{mark}"
    if method == "PUT":
        body = body or b""
    url = base + path + ("?" + query if query else "")
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("x-ms-error-code")

def stage(blob):
    assert call("PUT", f"/cache/{blob}?comp=block&blockid=MDAwMQ%3D%3D", b"one")[0] == 201

def commit(blob, **extra):
    return call("PUT", f"/cache/{blob}?comp=blocklist", b"<BlockList><Latest>MDAwMQ==</Latest></BlockList>", **extra)[0]

for attempt in range(300):
    try:
        assert call("PUT", "/cache?restype=container")[0] == 201
        break
    except urllib.error.URLError:
        time.sleep(0.1)
absent = {"If_None_Match": "*"}
assert call("PUT", "/cache/source", b"two", x_ms_blob_type="BlockBlob", **absent)[0] == 201
stage("a")
head = call("HEAD", "/cache/a")[0]
put = "%s %s" % call("PUT", "/cache/a", b"two", x_ms_blob_type="BlockBlob", **absent)
copy = "%s %s" % call("PUT", "/cache/a", None, x_ms_copy_source=f"{base}/{ACCOUNT}/cache/source", **absent)
get = call("GET", "/cache/a")[0]
said = f"staged: HEAD {head}, Put Blob {put}, Copy Blob {copy}, GET {get}; "
said += f"delete {call('DELETE', '/cache/a')[0]}, commit {commit('a')}, GET %s %s; " % call("GET", "/cache/a")
stage("b")
said += f"commit with the condition {commit('b', **absent)}"
print(said)
assert said == ("staged: HEAD 404, Put Blob 409 BlobAlreadyExists, Copy Blob 409 BlobAlreadyExists, GET 404; "
                "delete 202, commit 201, GET 200 b'one'; commit with the condition 201"), "it has changed"
PYTHON
