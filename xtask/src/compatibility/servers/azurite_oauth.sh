#!/bin/sh
# Azurite over TLS and with tokens only: it wants a certificate, and a token of Microsoft Entra ID whose signature it does
# not look at. A program by the name of `az` gives out such a token, as Azure's own does.
set -eu
azurite=$1 folder=$2 port=$3
mkdir -p "$folder/bin"
cd "$folder"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt
openssl req -newkey rsa:2048 -nodes -subj /CN=azurite -keyout azurite.key -out azurite.csr
echo subjectAltName=IP:127.0.0.1 > names
openssl x509 -req -in azurite.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out azurite.crt
cat > bin/az <<'AZ'
#!/usr/bin/env python3
import base64, json, time

def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

now = int(time.time())
claims = {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/tests/", "iat": now, "nbf": now - 60,
          "exp": now + 3600}
token = ".".join([part({"alg": "RS256", "typ": "JWT"}), part(claims), "c2lnbmF0dXJl"])
expires = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.localtime(now + 3600))
print(json.dumps({"accessToken": token, "expiresOn": expires, "expires_on": now + 3600, "tokenType": "Bearer"}))
AZ
chmod +x bin/az
exec "$azurite" --silent --disableTelemetry --inMemoryPersistence --oauth basic \
  --cert azurite.crt --key azurite.key --blobHost 127.0.0.1 --blobPort "$port"
