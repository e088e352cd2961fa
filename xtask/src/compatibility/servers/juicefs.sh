#!/bin/sh
# The S3 gateway of JuiceFS, which is MinIO's on a file system; its one bucket has the name of the file system.
set -eu
juicefs=$1 folder=$2 port=$3
meta="sqlite3://$folder/meta.db"
"$juicefs" format --quiet --storage file --bucket "$folder/data/" "$meta" team
export MINIO_ROOT_USER=AKIATESTING MINIO_ROOT_PASSWORD=testing-1
exec "$juicefs" gateway --quiet --no-usage-report --cache-dir "$folder/cache" "$meta" "127.0.0.1:$port"
