#!/bin/sh
# moto's S3 honours conditions on PUT and DELETE, and not on the other requests that S3 has them for.
#
# moto 5.2.1 (PyPI: moto[server]). A wrong If-Match is 412 on PUT and DELETE of an object. On CompleteMultipartUpload it is
# ignored, though If-None-Match is not; x-amz-copy-source-if-match of a copy is ignored; and an <ETag> in DeleteObjects is, so
# that the object is deleted although it is another one by now. S3's user guide has all of them ("conditional writes",
# "conditional deletes"), and 412 or an <Error> of PreconditionFailed as the answer. A client that lists objects, and then
# deletes in batches what is as it was in the list, deletes here what was written in between.
#
# Output seen: "PUT 412, DELETE 412; complete 200; copy 200; DeleteObjects 200 <Deleted>, and then 404".
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet 'moto[server]==5.2.1'
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$dir/venv/bin/moto_server" -H 127.0.0.1 -p "$port" > "$dir/log" 2>&1 &
server=$!
python3 - "$port" <<'PYTHON'
import base64, hashlib, re, sys, time, urllib.error, urllib.request

base = f"http://127.0.0.1:{sys.argv[1]}/bucket"
# moto looks at who asks, and not at the signature.
WHO = "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
OTHER = '"00000000000000000000000000000000"'

def ask(method, path, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers |= {"Authorization": WHO, "Content-Type": "application/octet-stream"}
    try:
        with urllib.request.urlopen(urllib.request.Request(base + path, body, headers, method=method), timeout=30) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers

for attempt in range(300):
    try:
        ask("PUT", "", b"")
        break
    except urllib.error.URLError:
        time.sleep(0.1)
assert ask("PUT", "/blob", b"new")[0] == 200
said = f"PUT {ask('PUT', '/blob', b'x', If_Match=OTHER)[0]}, DELETE {ask('DELETE', '/blob', If_Match=OTHER)[0]}; "
upload = re.search("<UploadId>(.*)</UploadId>", ask("POST", "/blob?uploads", b"")[1])[1]
etag = ask("PUT", f"/blob?partNumber=1&uploadId={upload}", b"parts")[2]["ETag"]
part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
parts = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
absent = ask("POST", f"/blob?uploadId={upload}", parts, If_None_Match="*")[0]
assert absent == 412, "it has changed"
said += f"complete {ask('POST', f'/blob?uploadId={upload}', parts, If_Match=OTHER)[0]}; "
copy = ask("PUT", "/copy", b"", x_amz_copy_source="bucket/blob", x_amz_copy_source_if_match=OTHER)[0]
batch = f"<Delete><Object><Key>blob</Key><ETag>{OTHER}</ETag></Object></Delete>".encode()
status, text, _ = ask("POST", "?delete", batch, Content_MD5=base64.b64encode(hashlib.md5(batch).digest()).decode())
said += f"copy {copy}; DeleteObjects {status} {re.search('<(Deleted|Error)>', text)[0]}, and then {ask('HEAD', '/blob')[0]}"
print(said)
assert said == "PUT 412, DELETE 412; complete 200; copy 200; DeleteObjects 200 <Deleted>, and then 404", "it has changed"
PYTHON
