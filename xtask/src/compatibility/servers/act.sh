#!/bin/sh
# The cache service of act, which lives as long as a job: the job waits until act is gone.
# The token that the job is given, and the URL of the service, are left in files.
set -eu
act=$1 folder=$2 port=$3 other_port=$4
mkdir -p "$folder/repo/.github/workflows" "$folder/home"
cd "$folder/repo"
cat > .github/workflows/wait.yml <<YAML
on: push
jobs:
  wait:
    runs-on: self
    steps:
      - run: |
          printf %s "\$ACTIONS_RUNTIME_TOKEN" > "$folder/token"
          printf %s "\$ACTIONS_CACHE_URL" > "$folder/url.part"
          mv "$folder/url.part" "$folder/url"
          while kill -0 "\$PPID"; do sleep 1; done
YAML
git init --quiet .
git add --all
git -c user.name=nobody -c user.email=nobody@localhost commit --quiet --message one
HOME="$folder/home" exec "$act" push --platform self=-self-hosted \
  --cache-server-addr 127.0.0.1 --cache-server-port "$port" --cache-server-path "$folder/cache" \
  --artifact-server-addr 127.0.0.1 --artifact-server-port "$other_port" --artifact-server-path "$folder/artifacts"
