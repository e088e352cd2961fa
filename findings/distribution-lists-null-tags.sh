#!/bin/sh
# distribution 2 lists null, and no empty list, once the last tag of a repository is deleted.
#
# docker-registry 2.8.2+ds1-1 (Debian 12). GET of /tags/list answers {"name":"team/app","tags":null} after the manifest of the
# only tag was deleted, as at the end of a clean-up, while a repository that never had a tag, though it has blobs, is 404
# NAME_UNKNOWN. OCI's distribution-spec (1.1.1, "Listing Tags") describes tags as a list, and knows 404 only for a repository
# that is not there. A client that reads the answer into a list fails on the first, and one that goes by the status says of a
# repository with blobs that it does not exist.
#
# Output seen: "blobs, never a tag: 404 NAME_UNKNOWN; one tag: 200 ["cache"]; tag deleted: 200 null".
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

def tags():
    status, body, _ = call("GET", f"{base}/tags/list")
    answer = json.loads(body)
    return f"{status} " + (answer["errors"][0]["code"] if "errors" in answer else json.dumps(answer["tags"]))

upload(config)
said = f"blobs, never a tag: {tags()}; "
assert call("PUT", f"{base}/manifests/cache", manifest, Content_Type=OCI)[0] == 201
said += f"one tag: {tags()}; "
assert call("DELETE", f"{base}/manifests/{digest(manifest)}")[0] == 202
said += f"tag deleted: {tags()}"
print(said)
assert said == 'blobs, never a tag: 404 NAME_UNKNOWN; one tag: 200 ["cache"]; tag deleted: 200 null', "it has changed"
PYTHON
