#!/bin/sh
# After garbage collection beside a running registry, distribution 2 answers 201 to a manifest and does not have it.
#
# docker-registry 2.8.2+ds1-1 (Debian 12), with `storage.cache.blobdescriptor: inmemory` as in its own configuration file. A
# manifest is put, its tag's manifest is deleted, and `docker-registry garbage-collect` is run, which is another process. The
# server still remembers the digest: HEAD of the config blob answers 200, a range of it answers 206 and no byte, and PUT of the
# same manifest answers 201 and writes a link to bytes that are not there. GET of the tag answers 404 from then on. What is
# uploaded as a blob is written, the manifest's own bytes too: then GET answers 200.
#
# Output seen: "HEAD 200, range 206 with 0 bytes, PUT 201, GET 404; manifest sent as a blob: GET 200".
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
(cd "$dir" && apt-get download -qq docker-registry=2.8.2+ds1-1 && dpkg -x docker-registry_*.deb root)
registry="$dir/root/usr/bin/docker-registry"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$dir/config.yml" <<CONFIG
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  cache: {blobdescriptor: inmemory}
  delete: {enabled: true}
  filesystem: {rootdirectory: $dir/store}
http: {addr: 127.0.0.1:$port}
CONFIG
export OTEL_TRACES_EXPORTER=none
"$registry" serve "$dir/config.yml" 2> "$dir/log" &
server=$!
python3 - "$port" "$registry" "$dir/config.yml" <<'PYTHON'
import hashlib, http.client, json, subprocess, sys, time, urllib.error, urllib.request

base = f"http://127.0.0.1:{sys.argv[1]}/v2/team/app"
OCI = "application/vnd.oci.image.manifest.v1+json"

def call(method, url, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=10) as answer:
            try:
                return answer.status, answer.read(), answer.headers
            except http.client.IncompleteRead as error:
                return answer.status, error.partial, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers

def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()

def upload(data):
    place = call("POST", f"{base}/blobs/uploads/", b"")[2]["Location"]
    return call("PUT", f"{place}&digest={digest(data)}", data, Content_Type="application/octet-stream")[0]

for attempt in range(100):
    try:
        call("GET", base)
        break
    except urllib.error.URLError:
        time.sleep(0.1)
config = b'{"a":1}'
described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)}
manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI, "config": described, "layers": []}).encode()
assert upload(config) == 201
assert call("PUT", f"{base}/manifests/t", manifest, Content_Type=OCI)[0] == 201
assert call("GET", f"{base}/manifests/t", Accept=OCI)[0] == 200
assert call("DELETE", f"{base}/manifests/{digest(manifest)}")[0] == 202
subprocess.run([sys.argv[2], "garbage-collect", "-m", sys.argv[3]], check=True, capture_output=True)
head = call("HEAD", f"{base}/blobs/{digest(config)}")[0]
part = call("GET", f"{base}/blobs/{digest(config)}", Range="bytes=0-0")
assert upload(config) == 201
put = call("PUT", f"{base}/manifests/t", manifest, Content_Type=OCI)[0]
get = call("GET", f"{base}/manifests/t", Accept=OCI)[0]
assert upload(manifest) == 201
again = call("GET", f"{base}/manifests/t", Accept=OCI)[0]
said = f"HEAD {head}, range {part[0]} with {len(part[1])} bytes, PUT {put}, GET {get}; manifest sent as a blob: GET {again}"
print(said)
assert said == "HEAD 200, range 206 with 0 bytes, PUT 201, GET 404; manifest sent as a blob: GET 200", "it has changed"
PYTHON
