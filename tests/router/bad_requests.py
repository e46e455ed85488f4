"""Everything that should not be redirected, as raw requests: a table for the tests that send it."""

import base64
import random

from linkrouter.link import Keyring

MARK = "CANARYx7q"


def request(target, *headers, method="GET", body=b"", version="1.1"):
    lines = "".join(f"{header}\r\n" for header in headers)
    head = f"{method} {target} HTTP/{version}\r\nHost: click.example\r\n{lines}\r\n"
    return head.encode("utf-8", "surrogateescape") + body


def bad_paths(ring: Keyring):
    """Give (why, path) for every way a link can be wrong; *ring* is the one the router knows."""
    good = ring.sign(f"https://{MARK.lower()}.example/a/b?c=d", link_id=b"abcdefgh")
    other = ring.sign("https://other.example/")
    signed, _, tag = good.rpartition("/")
    old = Keyring.create().sign("https://example.com/")
    yield from {
        "empty": "/",
        "one character": "/2",
        "no tag": signed,
        "a tag and nothing else": "/" + tag,
        "tag cut": good[:-1],
        "tag longer": good + "A",
        "swapped tails": other.rpartition("/")[0] + "/" + tag,
        "another ring's link": old,
        "unknown version": good.replace("/2s/", "/4s/"),
        "old version": good.replace("/2s/", "/1/"),
        "scheme changed": good.replace("/2s/", "/2/"),
        "padded": good + "=",
        "padded twice": good + "==",
        "standard alphabet": signed + "/" + tag[:-2] + "+/",
        "unused bits": good[:-1] + chr(ord(good[-1]) + 1),
        "upper case": good.upper(),
        "lower case": good.lower(),
        "an encoded letter": good.replace("/a/", "/%61/"),
        "an encoded slash": good.replace("/a/", "%2Fa/"),
        "a backslash": good.replace("/a/", "\\a/"),
        "an encoded backslash": good.replace("/a/", "%5Ca/"),
        "NUL": good.replace("/a/", "/%00/"),
        "a line break": good.replace("/a/", "/%0d%0aSet-Cookie:x/"),
        "a byte that is no text": good.replace("/a/", "/%ff/"),
        "an old escape": good.replace("/a/", "/%u0041/"),
        "a lone percent": good.replace("/a/", "/%/"),
        "trailing slash": good + "/",
        "trailing dot": good + ".",
        "trailing semicolon": good + ";",
        "trailing parameter": good + "&utm_source=x",
        "trailing bracket": good + ")",
        "trailing angle": good + "%3E",
        "quoted-printable left over": good + "=3D",
        "an entity left over": good + "&amp;",
        "doubled slash in front": "/" + good,
        "a host in front": "//evil.example" + good,
        "backslash host": "/\\evil.example" + good,
        "tab host": "/%09/evil.example",
        "semicolon segments": "/..;" + good,
        "dot segments": "/x/.." + good,
        "a query for a path": "/?" + good,
        "redirect parameter": f"/2s/?url=https://evil.example/{MARK}",
        "very long": "/2s/" + "a" * 7900 + "/AQ/AA/" + tag,
        "not ASCII": "/2s/ex\udcc3\udca4mple.com/AQ/AA/" + tag,
        "a foreign tracker's": "/click?upn=" + base64.urlsafe_b64encode(MARK.encode()).decode(),
    }.items()
    for position in range(len(good)):
        changed = "A" if good[position] != "A" else "B"
        yield f"character {position} changed", good[:position] + changed + good[position + 1 :]
        yield f"cut at {position}", good[:position] or "/"
    chance = random.Random(20261121)
    for number in range(300):
        noise = "".join(chance.choice("/%2sAQaz-_.~:@;=&+\\^{}|") for _ in range(chance.randrange(1, 60)))
        yield f"noise {number}", "/" + noise


def bad_requests(ring: Keyring):
    """Give (why, bytes) for requests that are wrong as HTTP, or of the wrong kind, around a genuine link."""
    good = ring.sign(f"https://{MARK.lower()}.example/a")
    yield from {
        "absolute form": request("http://evil.example" + good),
        "asterisk": request("*", method="OPTIONS"),
        "CONNECT": request("evil.example:443", method="CONNECT"),
        "TRACE": request(good, method="TRACE"),
        "POST": request(good, f"Content-Length: {len(MARK)}", method="POST", body=MARK.encode()),
        "PUT": request(good, method="PUT"),
        "an unknown method": request(good, method="BREW"),
        "a method with odd characters": request(good, method="G\xe9T"),
        "HTTP/0.9": b"GET " + good.encode() + b"\r\n\r\n",
        "HTTP/9.9": request(good, version="9.9"),
        "no Host": b"GET " + good.encode() + b" HTTP/1.1\r\n\r\n",
        "two Hosts": request(good, "Host: evil.example"),
        "odd Host": b"GET " + good.encode() + b" HTTP/1.1\r\nHost: a@b/c d\r\n\r\n",
        "129 headers": request(good, *[f"X-{MARK}-{number}: 1" for number in range(129)]),
        "a header of 9 kB": request(good, f"X-A: {MARK * 1000}"),
        "a line of 17 kB": request("/" + "a" * 17000 + MARK),
        "folded header": request(good, f"X-A: {MARK}\r\n  folded"),
        "bare LF": b"GET /" + MARK.encode() + b" HTTP/1.1\nHost: x\n\n",
        "bare CR": b"GET /" + MARK.encode() + b" HTTP/1.1\rHost: x\r\r",
        "a smuggled encoding": request(good, "Transfer-Encoding: \x0bchunked"),
        "two lengths": request(good, "Content-Length: 1", "Content-Length: 2", body=b"a"),
        "length and encoding": request(good, "Content-Length: 3", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        "a chunk extension": request(good, "Transfer-Encoding: chunked", body=b"1;\xff=x\r\na\r\n0\r\n\r\n"),
        "a negative length": request(good, "Content-Length: -1"),
        "header without name": request(good, f": {MARK}"),
        "NUL in a header": request(good, f"X-A: {MARK}\0"),
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + MARK.encode() + b"\r\n\r\n",
        "PROXY header": f"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /{MARK} HTTP/1.1\r\n\r\n".encode(),
        "noise": bytes(random.Random(7).randrange(256) for _ in range(500)) + MARK.encode() + b"\r\n\r\n",
    }.items()
