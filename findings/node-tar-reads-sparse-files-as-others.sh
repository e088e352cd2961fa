#!/bin/sh
# node-tar reads a sparse file of a layer under another name, with other content, and does not warn.
#
# tar 7.5.23 (npm), on archives of GNU tar 1.34 (`tar --sparse --format=posix`). GNU tar's manual, "Storing Sparse Files",
# gives the name and the size of such a file in the records GNU.sparse.name and GNU.sparse.realsize, and has a map of its
# extents in the data (1.0) or in the header (0.1). node-tar knows none of these records: a file "big" of 1 MiB with four bytes
# in its middle is listed as GNUSparseFile.N/big, of the size that is stored, and extracted so, the map at its start. In GNU
# tar's old format the file is skipped, with no warning even in strict mode. Who looks into layers of a cache with it, or takes
# files out of them, finds neither the path nor the bytes that containerd unpacks.
#
# Output seen: "posix: GNUSparseFile.N/big 1024 (1048576 are meant), warnings 0", "gnu: nothing, warnings 0".
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --no-audit --no-fund --silent --prefix "$dir" tar@7.5.23
cd "$dir"
python3 - <<'PYTHON'
with open("big", "wb") as file:
    file.truncate(1 << 20)
    file.seek(1 << 19)
    file.write(b"data")
PYTHON
for format in posix gnu; do
  tar --create --sparse --hole-detection=raw --format="$format" --file="$format.tar" big
  [ "$(tar --list --verbose --file="$format.tar" | awk '{print $3}')" = 1048576 ]
done
cat > read.mjs <<'NODE'
import assert from "node:assert";
import { list } from "tar";

const seen = [];
for (const format of ["posix", "gnu"]) {
  const entries = [];
  let warnings = 0;
  const onReadEntry = (entry) => entries.push(`${entry.path.replace(/^\.\//, "").replace(/\.\d+\//, ".N/")} ${entry.size}`);
  await list({ file: `${format}.tar`, strict: true, onReadEntry, onwarn: () => warnings++ });
  seen.push(`${format}: ${entries.length ? `${entries} (1048576 are meant)` : "nothing"}, warnings ${warnings}`);
}
console.log(seen.join("\n"));
const before = ["posix: GNUSparseFile.N/big 1024 (1048576 are meant), warnings 0", "gnu: nothing, warnings 0"];
assert.deepEqual(seen, before, "it has changed");
NODE
node read.mjs
