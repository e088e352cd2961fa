#!/bin/sh
# distribution 2 has no way back to an upload of which one answer was lost.
#
# docker-registry 2.8.2+ds1-1 (Debian 12). Each answer to an upload's PATCH has a new Location with the offset in its signed
# _state, and with any older one the upload is 404 BLOB_UPLOAD_INVALID, for GET as for PATCH: after one chunk whose answer never
# came, the only address that the client has left does not say how far the upload is, and DELETE of it is 404 too. OCI's
# distribution-spec (1.1.1, "Pushing a blob in chunks") has GET of the upload's location for this, with 204 and the Range so
# far. The address without _state is 404 as well. A copy that was interrupted begins such a blob anew.
#
# Output seen: "PATCH 202; by the location before it: GET 404 BLOB_UPLOAD_INVALID, PATCH 404, DELETE 404; without _state: GET
# 404; by the new one: GET 204 0-3" (in one line).
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
import json, sys, time, urllib.error, urllib.request

base = f"http://127.0.0.1:{sys.argv[1]}/v2/team/app"

def call(method, url, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=10) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers

for attempt in range(100):
    try:
        call("GET", base)
        break
    except urllib.error.URLError:
        time.sleep(0.1)
place = call("POST", f"{base}/blobs/uploads/", b"")[2]["Location"]
status, _, headers = call("PATCH", place, b"0123", Content_Type="application/octet-stream", Content_Range="0-3")
new = headers["Location"]
get, body, _ = call("GET", place)
said = f"PATCH {status}; by the location before it: GET {get} {json.loads(body)['errors'][0]['code']}, "
said += "PATCH %d, " % call("PATCH", place, b"4567", Content_Type="application/octet-stream", Content_Range="4-7")[0]
said += "DELETE %d; without _state: " % call("DELETE", place)[0]
said += "GET %d; by the new one: " % call("GET", place.split("?")[0])[0]
status, _, headers = call("GET", new)
said += f"GET {status} {headers['Range']}"
print(said)
assert said == ("PATCH 202; by the location before it: GET 404 BLOB_UPLOAD_INVALID, PATCH 404, DELETE 404; "
                "without _state: GET 404; by the new one: GET 204 0-3"), "it has changed"
PYTHON
