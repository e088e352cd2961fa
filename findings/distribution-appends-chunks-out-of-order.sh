#!/bin/sh
# distribution 2 appends each chunk of an upload where the last one ended, whatever its Content-Range says.
#
# docker-registry 2.8.2+ds1-1 (Debian 12). After bytes 0-3 of a blob, a PATCH with "Content-Range: 6-9", which leaves two bytes
# out, and one with "0-3" again are both 202, and the upload's Range grows by their lengths. OCI's distribution-spec (1.1.1,
# "Pushing a blob in chunks") has a registry answer 416 to a chunk that is out of order. A client that sends a chunk again
# learns only from the digest at the very end that all of it was for nothing: 400 DIGEST_INVALID.
#
# Output seen: "0-3: 202 0-3; 6-9: 202 0-7; PUT 400 DIGEST_INVALID", "0-3: 202 0-3; 0-3: 202 0-7; PUT 400 DIGEST_INVALID".
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
(cd "$dir" && apt-get download -qq docker-registry=2.8.2+ds1-1 && dpkg -x docker-registry_*.deb root)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$dir/config.yml" <<CONFIG
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {delete: {enabled: true}, filesystem: {rootdirectory: $dir/store}}
http: {addr: 127.0.0.1:$port}
CONFIG
OTEL_TRACES_EXPORTER=none "$dir/root/usr/bin/docker-registry" serve "$dir/config.yml" 2> "$dir/log" &
server=$!
python3 - "$port" <<'PYTHON'
import hashlib, json, sys, time, urllib.error, urllib.request

base = f"http://127.0.0.1:{sys.argv[1]}/v2/team/app"

def call(method, url, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=10) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers

def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()

for attempt in range(100):
    try:
        call("GET", base)
        break
    except urllib.error.URLError:
        time.sleep(0.1)
blob = b"0123456789"

def send(*chunks):
    place = call("POST", f"{base}/blobs/uploads/", b"")[2]["Location"]
    said = ""
    for first, last in chunks:
        status, _, headers = call("PATCH", place, blob[first:last + 1], Content_Type="application/octet-stream",
                                  Content_Range=f"{first}-{last}")
        said += f"{first}-{last}: {status} {headers['Range']}; "
        place = headers["Location"]
    status, body, _ = call("PUT", f"{place}&digest={digest(blob)}", b"", Content_Type="application/octet-stream")
    return said + f"PUT {status} {json.loads(body)['errors'][0]['code']}"

seen = [send((0, 3), (6, 9)), send((0, 3), (0, 3))]
print(*seen, sep="\n")
assert seen == ["0-3: 202 0-3; 6-9: 202 0-7; PUT 400 DIGEST_INVALID",
                "0-3: 202 0-3; 0-3: 202 0-7; PUT 400 DIGEST_INVALID"], "it has changed"
PYTHON
