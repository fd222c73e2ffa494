"""Tokens of a throwaway key, for trying out RequestAuthentication. Needs openssl.

    token.py policy        makes the key, and prints a RequestAuthentication that trusts it
    token.py USER TIER     prints a token of that user, good for an hour
"""

import base64
import json
import subprocess
import sys
import time

KEY = "key.pem"
ISSUER = "https://login.example.com"


def openssl(*arguments, given=None):
    return subprocess.run(["openssl", *arguments], input=given, check=True, capture_output=True).stdout


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def policy():
    openssl("genrsa", "-out", KEY, "2048")
    modulus = bytes.fromhex(openssl("rsa", "-in", KEY, "-noout", "-modulus").decode().strip().split("=")[1])
    key = {"kty": "RSA", "kid": "try", "alg": "RS256", "use": "sig", "n": encoded(modulus), "e": "AQAB"}
    rule = {"issuer": ISSUER, "jwks": json.dumps({"keys": [key]}), "forwardOriginalToken": True}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "shop", "namespace": "istio-ingress"},
        "spec": {"selector": {"matchLabels": {"istio": "ingress"}}, "jwtRules": [rule]},
    }


def token(user, tier):
    header = {"alg": "RS256", "kid": "try", "typ": "JWT"}
    claims = {"iss": ISSUER, "sub": user, "tier": tier, "exp": int(time.time()) + 3600}
    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return text + "." + encoded(openssl("dgst", "-sha256", "-sign", KEY, given=text.encode()))


if sys.argv[1:] == ["policy"]:
    print(json.dumps(policy(), indent=1))
elif len(sys.argv) == 3:
    print(token(*sys.argv[1:]))
else:
    sys.exit(__doc__)
