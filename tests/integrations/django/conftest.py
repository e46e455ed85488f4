"""What the tests of the Django backend share: settings, keys, and a place where mail arrives."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from linkrouter import Keyring
from linkrouter.link import Key

django = pytest.importorskip("django", reason="Django is not installed; the extra 'django' has it")

from django.conf import settings  # noqa: E402
from django.core import mail  # noqa: E402
from django.test import override_settings  # noqa: E402

LOCMEM = "django.core.mail.backends.locmem.EmailBackend"

if not settings.configured:
    settings.configure(DEFAULT_FROM_EMAIL="shop@example.com", USE_TZ=True, SECRET_KEY="of-tests-alone")


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys.json"
    Keyring([Key(1, bytes(range(32)), "sign")]).save(path)
    return path


@pytest.fixture
def outbox():
    mail.outbox = []
    return mail.outbox


@pytest.fixture
def configured(keys, outbox):
    """Give a function that sets LINKROUTER; by default mail ends in *outbox*, and there is no central."""
    changed = []

    def configure(**options):
        base = {"BACKEND": LOCMEM, "BASE_URL": "https://click.example.com", "KEYS": keys}
        made = override_settings(LINKROUTER=base | options)
        made.enable()
        changed.append(made)

    configure()
    yield configure
    for made in reversed(changed):
        made.disable()


class Central(ThreadingHTTPServer):
    """Takes every message, and keeps it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        import json

        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        body = b'{"stored":1,"duplicates":0}'
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def central():
    server = Central()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text("secret-of-the-sender-1234")
    return path
