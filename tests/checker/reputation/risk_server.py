"""A server that speaks Web Risk's Update API over lists of URLs, which a test may change at any time."""

import hashlib
from base64 import b64decode, b64encode, urlsafe_b64decode
from contextlib import asynccontextmanager

from aiohttp import web
from checker.servers import site

TYPES = ("MALWARE", "SOCIAL_ENGINEERING", "UNWANTED_SOFTWARE", "SOCIAL_ENGINEERING_EXTENDED_COVERAGE")
LATER = "2100-01-01T00:00:00Z"


def digest(expression):
    return hashlib.sha256(expression.encode()).digest()


class RiskServer:
    """`listed` maps a type to expressions; `prefixes` more prefixes of it; `spoil` changes an answer before it goes."""

    def __init__(self):
        self.listed = {name: set() for name in TYPES}
        self.prefixes = {name: set() for name in TYPES}
        self.sizes = {}  # of an expression's prefix; 4 by default
        self.versions = {}  # token → the prefixes that it stands for
        self.expires = self.negative_expires = LATER
        self.next_diff = LATER
        self.spoil = lambda method, document: document
        self.asked = []

    def current(self, name):
        own = {digest(each)[: self.sizes.get(each, 4)] for each in self.listed[name]}
        return sorted(own | self.prefixes[name])

    async def answer(self, request):
        assert request.headers["X-Goog-Api-Key"] == "the-key"
        method = request.path.removeprefix("/v1/")
        self.asked.append((method, dict(request.query)))
        document = self.diff(request) if method == "threatLists:computeDiff" else self.search(request)
        document = self.spoil(method, document)
        return web.Response(status=document) if isinstance(document, int) else web.json_response(document)

    def diff(self, request):
        name = request.query["threatType"]
        assert request.query["constraints.supportedCompressions"] == "RAW"
        before, now = self.versions.get(request.query.get("versionToken")), self.current(name)
        token = b64encode(f"{name}{len(self.versions)}".encode()).decode()
        self.versions[token] = now
        added = [prefix for prefix in now if before is None or prefix not in before]
        document = {
            "responseType": "RESET" if before is None else "DIFF",
            "newVersionToken": token,
            "checksum": {"sha256": b64encode(hashlib.sha256(b"".join(now)).digest()).decode()},
            "recommendedNextDiff": self.next_diff,
            "additions": {"rawHashes": [self.raw(size, added) for size in sorted({len(each) for each in added})]},
        }
        if removed := [number for number, prefix in enumerate(before or ()) if prefix not in now]:
            document["removals"] = {"rawIndices": {"indices": removed}}
        return document

    @staticmethod
    def raw(size, prefixes):
        return {"prefixSize": size, "rawHashes": b64encode(b"".join(p for p in prefixes if len(p) == size)).decode()}

    def search(self, request):
        prefix = urlsafe_b64decode(request.query["hashPrefix"])
        assert request.query.getall("threatTypes") == list(TYPES)
        found = {}
        for name in TYPES:
            for expression in self.listed[name]:
                if digest(expression).startswith(prefix):
                    found.setdefault(digest(expression), []).append(name)
        threats = [
            {"threatTypes": names, "hash": b64encode(full).decode(), "expireTime": self.expires}
            for full, names in found.items()
        ]
        return {"negativeExpireTime": self.negative_expires} | ({"threats": threats} if threats else {})


@asynccontextmanager
async def risk_server():
    """Serve a `RiskServer`; gives its origin and itself."""
    server = RiskServer()
    async with site(server.answer) as (origin, _):
        yield origin, server


def corrupted(octets):
    return b64encode(bytes([b64decode(octets)[0] ^ 1]) + b64decode(octets)[1:]).decode()
