#!/bin/sh
# distribution 2 answers 500 when a blob is asked for as a manifest.
#
# docker-registry 2.8.2+ds1-1 (Debian 12). GET and HEAD of /manifests/DIGEST for a digest that is a blob of the repository, and
# no manifest, are 500 UNKNOWN: the blob is found and read, and then it is no JSON. A digest that is not there is 404, and so
# should this one be by OCI's distribution-spec (1.1.1, "Pulling manifests"). Tools meet it with BuildKit's caches of
# image-manifest=false, an index that lists layers: skopeo 1.9.3 fetches each entry of an index as a manifest, and ends a copy
# of such a cache (--all) with "received unexpected HTTP status: 500", a status that clients try again.
#
# Output seen: "layer: GET 500 UNKNOWN, HEAD 500; absent: GET 404 MANIFEST_UNKNOWN".
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
import gzip, hashlib, json, sys, time, urllib.error, urllib.request

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

def upload(data):
    place = call("POST", f"{base}/blobs/uploads/", b"")[2]["Location"]
    assert call("PUT", f"{place}&digest={digest(data)}", data, Content_Type="application/octet-stream")[0] == 201

for attempt in range(100):
    try:
        call("GET", base)
        break
    except urllib.error.URLError:
        time.sleep(0.1)
INDEX = "application/vnd.oci.image.index.v1+json"
layer, config = gzip.compress(b"layer"), b'{"layers":[{"blob":""}]}'
upload(layer)
upload(config)
entries = [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(layer), "size": len(layer)},
           {"mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": digest(config), "size": len(config)}]
index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
assert call("PUT", f"{base}/manifests/cache", index, Content_Type=INDEX)[0] == 201

def look(data):
    status, body, _ = call("GET", f"{base}/manifests/{digest(data)}", Accept="application/vnd.oci.image.manifest.v1+json")
    return f"GET {status} {json.loads(body)['errors'][0]['code']}"

said = f"layer: {look(layer)}, HEAD {call('HEAD', f'{base}/manifests/{digest(layer)}')[0]}; absent: {look(b'absent')}"
print(said)
assert said == "layer: GET 500 UNKNOWN, HEAD 500; absent: GET 404 MANIFEST_UNKNOWN", "it has changed"
PYTHON
