"""Fresh projects of each Django: a mail is sent, its link is clicked, and the click is on the message at central.

Real everything: `django-admin startproject` with the settings of docs/django.md, an SMTP server, a router, central, and
what people send through.
"""

import email
import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from integrations.django.environments import LOWEST_PYTHON, make_environment
from processes import fetch, free_port, wait_until

pytestmark = pytest.mark.slow

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
ROOT = Path(__file__).parents[3]
CONSOLE = '"django.core.mail.backends.console.EmailBackend"'
SMTP = '"django.core.mail.backends.smtp.EmailBackend"'


def guide(version):
    """Give the settings that docs/django.md has for Django *version*."""
    text = (ROOT / "docs/django.md").read_text()
    before, since_mailers = re.findall(r"```python\n(INSTALLED_APPS.*?)```", text, re.DOTALL)
    return since_mailers if version == "6.1" else before


class Shop:
    """A project in *home*, and all that it needs to send mail and see clicks."""

    def __init__(self, home, version):
        self.home, self.version = home, version
        self.python = make_environment(version)
        self.folder, self.inbox = home.path / "shop", home.path / "inbox"
        self.folder.mkdir()
        self.click = f"http://127.0.0.1:{free_port()}"
        self.smtp = free_port()
        self.run("-m", "django", "startproject", "shop", self.folder)
        for name in ("keys.json", "api-token"):
            shutil.copy(home.path / name, self.folder)
        settings = guide(version).replace("http://127.0.0.1:8080", self.click)
        settings = settings.replace("http://127.0.0.1:8090", f"http://127.0.0.1:{home.central_port}")
        if version == "6.1":
            smtp = f'{SMTP}, "OPTIONS": {{"host": "127.0.0.1", "port": {self.smtp}}}'
            settings = settings.replace(CONSOLE, smtp)
        else:
            settings = settings.replace(CONSOLE, SMTP) + f'EMAIL_HOST, EMAIL_PORT = "127.0.0.1", {self.smtp}\n'
        self.configure(settings)

    def configure(self, text):
        with open(self.folder / "shop" / "settings.py", "a") as file:
            file.write(f"\n{text}\n")

    def start(self):
        mailbox = [
            "-m",
            "aiosmtpd",
            "-n",
            "-l",
            f"127.0.0.1:{self.smtp}",
            "-c",
            "aiosmtpd.handlers.Mailbox",
            self.inbox,
        ]
        with open(self.home.path / "log", "ab") as log:
            server = subprocess.Popen([self.python, *mailbox], cwd=self.home.path, stdout=log, stderr=log)
        self.home.processes.append(server)
        self.home.start_central("--settle-s", "1")
        self.home.start_router(int(self.click.rpartition(":")[2]))
        wait_until((self.inbox / "new").is_dir)

    def run(self, *arguments, check=True, stdin=""):
        command = [self.python, "-W", "error::RuntimeWarning", *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def manage(self, *arguments, **options):
        return self.run("manage.py", *arguments, **options)

    def script(self, text):
        """Run *text* in the project, and give what it prints as JSON on its last line."""
        path = self.folder / "script.py"
        path.write_text("import django\ndjango.setup()\n" + text)
        return json.loads(
            self.run("-c", "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'; import script")
            .stdout.strip()
            .splitlines()[-1]
        )

    def mails(self):
        return [email.message_from_bytes(path.read_bytes()) for path in sorted((self.inbox / "new").iterdir())]

    def click_on(self, path):
        return fetch(path, headers={"User-Agent": BROWSER})

    def message(self, message_id):
        return self.home.ask_central(f"/v1/messages/{message_id}")


@pytest.fixture(params=LOWEST_PYTHON)
def shop(request, home):
    return Shop(home, request.param)


def test_a_fresh_project_sends_a_mail_and_sees_its_click(shop):
    shop.start()

    checked = shop.manage("check", "--fail-level", "WARNING")
    sent = shop.manage("linkrouter_test", "reader@example.net", "--link", "https://example.com/seeds")

    assert "no issues" in checked.stdout
    assert "central was told" in sent.stdout
    message_id = re.search("sent, as (.+)", sent.stdout)[1]
    html = re.search("html: (.+)", sent.stdout)[1]
    [arrived] = wait_until(shop.mails)
    assert arrived["Message-ID"] == f"<{message_id}>"
    assert html in arrived.as_bytes().decode().replace("=\n", "")
    status, headers, _ = shop.click_on(html)
    assert (status, headers["Location"]) == (302, "https://example.com/seeds")
    found = wait_until(lambda: (told := shop.message(message_id))["message"]["unique"] == 1 and told)
    assert (found["message"]["recipient"], found["message"]["clicks"]) == ("reader@example.net", 1)
    assert [link["clicks"] for link in found["links"] if link["part"] == "html"] == [1]


AWAY = """
import json
from django.core.mail import send_mail
answers = [send_mail(f"News {n}", "Look: https://example.com/", None, ["reader@example.net"]) for n in range(3)]
print(json.dumps(answers))
"""


@pytest.mark.parametrize("shop", ["5.2"], indirect=True)
def test_mails_sent_while_central_is_away_are_told_with_the_next(shop):
    shop.start()
    central = shop.home.processes[1]
    central.send_signal(signal.SIGTERM)
    central.wait(20)

    assert shop.script(AWAY) == [1, 1, 1]
    shop.home.start_central("--settle-s", "1")
    shop.manage("linkrouter_test", "reader@example.net")

    assert len(shop.home.ask_central("/v1/messages")["messages"]) == 4
    assert not list(shop.folder.rglob("*ing.jsonl"))
    assert len(wait_until(shop.mails)) == 4


THROUGH_QUEUES = """
INSTALLED_APPS += ["anymail", "post_office", "djcelery_email"]
DATABASES["default"]["NAME"] = BASE_DIR / "shop.sqlite3"
CELERY_TASK_ALWAYS_EAGER = CELERY_TASK_EAGER_PROPAGATES = True
CELERY_EMAIL_MESSAGE_EXTRA_ATTRIBUTES = ["track_links", "count_only", "tags", "metadata"]
"""
QUEUES_BY_BACKEND = """
LINKROUTER["BACKEND"] = "anymail.backends.test.EmailBackend"
POST_OFFICE = {"BACKENDS": {"default": "linkrouter.integrations.django.EmailBackend"}}
CELERY_EMAIL_BACKEND = "linkrouter.integrations.django.EmailBackend"
"""
QUEUES_BY_MAILERS = """
MAILERS = {
    "default": {"BACKEND": "linkrouter.integrations.django.EmailBackend", "OPTIONS": {"send_using": "esp"}},
    "esp": {"BACKEND": "anymail.backends.test.EmailBackend"},
    "queue": {"BACKEND": "post_office.EmailBackend"},
}
POST_OFFICE = {"DEFAULT_MAILER": "default"}
"""
SEND = """
import json
from anymail.backends.test import EmailBackend as Esp
from django.core.mail import EmailMultiAlternatives
from linkrouter.integrations.django import EmailBackend

sent, payloads = [], []
post = Esp.post_to_esp
def post_to_esp(self, payload, message):
    payloads.append(payload.get_params())
    return post(self, payload, message)
Esp.post_to_esp = post_to_esp

def a_mail(tag):
    made = EmailMultiAlternatives("News", "Look: https://example.com/", "s@example.com", ["reader@example.net"])
    made.attach_alternative('<a href="https://example.com/">look</a>', "text/html")
    made.tags, made.metadata, made.track_clicks = [tag], {"order": "7"}, True
    return made
"""
ANYMAIL = """
message = a_mail("anymail")
message.send()
"""
POST_OFFICE = """
from post_office import mail
mail.send("reader@example.net", "s@example.com", subject="News", message="Look: https://example.com/",
          html_message='<a href="https://example.com/">look</a>')
mail.send_queued_mail_until_done()
"""
CELERY = """
from celery import Celery
app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.set_default()
from djcelery_email.backends import CeleryEmailBackend
CeleryEmailBackend().send_messages([a_mail("celery")])
"""
RESULTS = """
backend = EmailBackend(**({"send_using": "esp"} if hasattr(django.core.mail, "mailers") else {}))
assert backend.reporter.flush(20)
print(json.dumps([
    {"tracked": "https://example.com" not in one["text_body"] + one["html_body"], "tags": one.get("tags"),
     "metadata": one.get("metadata"), "track_clicks": one.get("track_clicks")} for one in payloads
]))
"""


def through(shop, *ways):
    """Send through *ways*; give what the service got, and the messages that central knows, by their tag."""
    got = shop.script(SEND + "".join(ways) + RESULTS)
    return got, {found["tag"]: found for found in shop.home.ask_central("/v1/messages")["messages"]}


def test_what_people_send_through_goes_on_working(shop):
    shop.home.start_central()
    shop.configure(THROUGH_QUEUES + (QUEUES_BY_MAILERS if shop.version == "6.1" else QUEUES_BY_BACKEND))
    shop.manage("migrate", "--verbosity", "0")

    # django-celery-email asks for a backend by its path, which Django refuses where there are mailers.
    ways = [ANYMAIL, POST_OFFICE] if shop.version == "6.1" else [ANYMAIL, POST_OFFICE, CELERY]
    got, known = through(shop, *ways)

    assert [one["tracked"] for one in got] == [True] * len(ways)
    assert [one["track_clicks"] for one in got] == [False] * len(ways)
    assert (got[0]["tags"], got[0]["metadata"]) == (["anymail"], {"order": "7"})
    expected = {"anymail", None} if shop.version == "6.1" else {"anymail", None, "celery"}
    assert set(known) == expected
    assert known["anymail"]["metadata"] == {"order": "7"}
    assert known["anymail"]["recipient"] == "reader@example.net"
