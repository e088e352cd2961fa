#!/bin/sh
# distribution 2 has no OCI manifest for a client that accepts anything.
#
# docker-registry 2.8.2+ds1-1 (Debian 12). An OCI manifest, such as the one of a BuildKit cache, is 404 MANIFEST_UNKNOWN for
# HEAD and GET, by tag and by digest, with "Accept: */*", with "application/*" and without Accept: its type has to be named
# there (the message says so, and HEAD has none). By RFC 9110, 12.5.1, */* matches every type, and no Accept is the same. A look
# that only asks whether a manifest is there takes a cache for one that is gone; curl sends */* if nothing else is said.
#
# Output seen: "named: 200 200; */*: 404 404; application/*: 404 404; none: 404 404; by digest, */*: 404 404".
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

def upload(data):
    place = call("POST", f"{base}/blobs/uploads/", b"")[2]["Location"]
    assert call("PUT", f"{place}&digest={digest(data)}", data, Content_Type="application/octet-stream")[0] == 201

for attempt in range(100):
    try:
        call("GET", base)
        break
    except urllib.error.URLError:
        time.sleep(0.1)
OCI = "application/vnd.oci.image.manifest.v1+json"
config = b"{}"
described = {"mediaType": "application/vnd.buildkit.cacheconfig.v0", "digest": digest(config), "size": len(config)}
manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI, "config": described, "layers": []}).encode()
upload(config)
assert call("PUT", f"{base}/manifests/cache", manifest, Content_Type=OCI)[0] == 201

def look(name, **headers):
    return " ".join(str(call(method, f"{base}/manifests/{name}", **headers)[0]) for method in ("HEAD", "GET"))

said = f"named: {look('cache', Accept=OCI)}; */*: {look('cache', Accept='*/*')}; "
said += f"application/*: {look('cache', Accept='application/*')}; none: {look('cache')}; "
said += f"by digest, */*: {look(digest(manifest), Accept='*/*')}"
print(said)
assert said == ("named: 200 200; */*: 404 404; application/*: 404 404; none: 404 404; "
                "by digest, */*: 404 404"), "it has changed"
PYTHON
