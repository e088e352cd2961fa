"""Writes a cache in a directory whose one layer is 20 MiB that nothing compresses: more than two parts of an upload."""
import hashlib, io, json, os, random, sys, tarfile

root = sys.argv[1]
os.makedirs(f"{root}/blobs/sha256")


def put(data, media_type, **annotations):
    digest = hashlib.sha256(data).hexdigest()
    open(f"{root}/blobs/sha256/{digest}", "wb").write(data)
    return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data), "annotations": annotations}


tar = io.BytesIO()
with tarfile.open(fileobj=tar, mode="w") as archive:
    entry = tarfile.TarInfo("large")
    entry.size = 20 << 20
    archive.addfile(entry, io.BytesIO(random.Random(1).randbytes(entry.size)))
tar, when = tar.getvalue(), "2026-03-01T10:00:00Z"
diff_id = "sha256:" + hashlib.sha256(tar).hexdigest()
layer = put(tar, "application/vnd.oci.image.layer.v1.tar",
            **{"buildkit/createdat": when, "containerd.io/uncompressed": diff_id})
key = "sha256:" + hashlib.sha256(b"large").hexdigest()
config = {"layers": [{"blob": layer["digest"], "parent": -1}],
          "records": [{"digest": key, "layers": [{"layer": 0, "createdAt": when}]}]}
config = put(json.dumps(config).encode(), "application/vnd.buildkit.cacheconfig.v0")
oci = "application/vnd.oci.image."
manifest = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config, "layers": [layer]}
manifest = put(json.dumps(manifest).encode(), oci + "manifest.v1+json",
               **{"org.opencontainers.image.ref.name": "latest"})
index = {"schemaVersion": 2, "mediaType": oci + "index.v1+json", "manifests": [manifest]}
open(f"{root}/index.json", "w").write(json.dumps(index))
open(f"{root}/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
