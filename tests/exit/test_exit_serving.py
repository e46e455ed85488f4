"""redirect.py and worker.js as real servers, beside the real router: the same bytes, but for the date."""

import json
import re
import shutil
import socket
import subprocess
import sys

import pytest
from processes import HANG_S, fetch, free_port, wait_until

from linkrouter.link import Keyring
from linkrouter.link.takeback import match_link, sign_take_back
from linkrouter.router.rule_file import ListPage, RuleFile


@pytest.fixture
def serving(home):
    """The router and what `linkrouter exit` wrote from its keys: ports by name."""
    take_back(home)
    home.run("exit", "out", "--keys", "keys.json", "--takebacks", "rules.json")
    ports = {"router": free_port(), "redirect.py": free_port()}
    home.start_router(ports["router"])
    commands = {"redirect.py": [sys.executable, "-I", "redirect.py", "--listen"]}
    if shutil.which("node"):
        ports["worker.js"], commands["worker.js"] = free_port(), ["node", "worker.js"]
    for name, command in commands.items():
        with open(home.path / f"{name}.log", "wb") as log:
            address = f"127.0.0.1:{ports[name]}"
            process = subprocess.Popen([*command, address], cwd=home.path / "out", stdout=log, stderr=log)
        home.processes.append(process)
        wait_until(lambda name=name: home.answers(ports[name], "/-/ready"))
    return ports


def take_back(home):
    """Replace the link with the id "replaced" and stop the one with the id "stopped", for the router and the exit."""
    ring = Keyring.load(home.path / "keys.json")
    to = ring.sign("https://example.org/new?b=%20#e")
    rules = [
        sign_take_back(ring, match=match_link(b"replaced"), action="replace", made_at=1, to=to)._asdict(),
        sign_take_back(ring, match=match_link(b"stopped"), action="stop", made_at=1)._asdict(),
    ]
    (home.path / "rules.json").write_text(json.dumps({"rules": rules, "seq": 2}))
    RuleFile(home.path / "take-backs.list").append(ListPage(0, 2, rules))


def talk(port, request):
    """Send *request* and give everything that comes, dates struck out."""
    with socket.create_connection(("127.0.0.1", port), timeout=HANG_S) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        said = b""
        while chunk := client.recv(65536):
            said += chunk
    return re.sub(rb"Date: [^\r]+", b"Date: then", said)


def requests_for(path):
    """Give raw requests by what they try."""
    get = f"GET {path} HTTP/1.1\r\nHost: a\r\n".encode()
    plain = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
    return {
        "get": get + b"\r\n",
        "head": get.replace(b"GET", b"HEAD") + b"\r\n",
        "query": plain % f"{path}?fbclid=1".encode(),
        "two on one connection": (get + b"\r\n") * 2,
        "close": get + b"Connection: close\r\n\r\n",
        "http 1.0": f"GET {path} HTTP/1.0\r\n\r\n".encode(),
        "get with a body": get + b"Content-Length: 3\r\n\r\nabc",
        "post": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "another method": b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",  # one unheard of is 405 here, and 400 there
        "forged": plain % path.replace("/2s/", "/2/").encode(),
        "doubled slash": plain % f"/{path}".encode(),
        "trailing slash": plain % f"{path}/".encode(),
        "whole URL": plain % f"http://click.example.com{path}".encode(),
        "whole URL in capitals": plain % f"HTTP://click.example.com{path}?a#b".encode(),
        "fragment": plain % f"{path}#a?b".encode(),
        "root": plain % b"/",
        "robots": plain % b"/robots.txt",
        "ready": plain % b"/-/ready",
        "ready with a query": plain % b"/-/ready?a",
        "no HTTP": b"nonsense\r\n\r\n",
        "line too long": plain % (b"/" + b"a" * 9000),
    }


@pytest.mark.parametrize(
    ("link_id", "location"),
    [
        (b"plain", b"https://example.com/it's//b?c=%20#e"),
        (b"replaced", b"https://example.org/new?b=%20#e"),
        (b"stopped", b""),
    ],
    ids=["plain", "replaced", "stopped"],
)
def test_redirect_answers_as_the_router_does_headers_included(serving, home, link_id, location):
    path = Keyring.load(home.path / "keys.json").sign("https://example.com/it's//b?c=%20#e", link_id=link_id)

    answers = {
        what: (talk(serving["router"], request), talk(serving["redirect.py"], request))
        for what, request in requests_for(path).items()
    }

    assert answers["get"][0].startswith(b"HTTP/1.1 302 " if location else b"HTTP/1.1 410 ")
    assert (b"\r\nLocation: " + location + b"\r\n" in answers["get"][0]) == bool(location)
    assert {what: pair for what, pair in answers.items() if pair[0] != pair[1]} == {}


def test_worker_on_node_answers_as_the_router_does(serving, home):
    if "worker.js" not in serving:
        pytest.skip("node is not installed")
    ring = Keyring.load(home.path / "keys.json")
    path = ring.sign("https://example.com/it's//b?c=%20#e")
    turned = [ring.sign("https://example.com/", link_id=link_id) for link_id in (b"replaced", b"stopped")]
    ours = {"Connection", "Keep-Alive", "Date", "Transfer-Encoding"}

    for target in (path, path + "?a", f"/{path}", "/", "/robots.txt", "/-/ready", *turned):
        for method in ("GET", "HEAD", "POST"):
            router, worker = (
                fetch(f"http://127.0.0.1:{serving[name]}{target}", method=method) for name in ("router", "worker.js")
            )

            assert worker[0] == router[0]
            assert {item for item in worker[1].items() if item[0] not in ours} == {
                item for item in router[1].items() if item[0] not in ours
            }
            assert worker[2] == router[2]


def test_redirect_logs_nothing_of_a_request(serving, home):
    for request in requests_for("/2s/secret.example/AQ/AA/AAAAAAAAAAAAAAA").values():
        talk(serving["redirect.py"], request)

    log = (home.path / "redirect.py.log").read_text()

    assert log == f"listening on 127.0.0.1:{serving['redirect.py']}; take-backs refused: 0\n"


@pytest.mark.parametrize("arguments", [[], ["--listen"], ["--listen", "8080"], ["--port", "a:1"]], ids=str)
def test_a_wrong_command_line_gets_the_usage(write_exit, arguments):
    path = write_exit(Keyring.create()).path / "redirect.py"

    done = subprocess.run([sys.executable, path, *arguments], capture_output=True, text=True, timeout=HANG_S)

    assert done.returncode == 1
    assert done.stderr == "usage: python3 redirect.py --listen HOST:PORT\n"
