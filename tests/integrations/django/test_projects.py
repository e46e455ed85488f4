"""Fresh projects of each Django: a mail is sent, its link is clicked, and the click is on the message at central.

Real everything: `django-admin startproject`, an SMTP server, a router, central, and what people send through.
"""

import email
import json
import re
import signal
import subprocess

import pytest
from integrations.django.environments import LOWEST_PYTHON, make_environment
from processes import fetch, free_port, wait_until

pytestmark = pytest.mark.slow

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
COMMON = """
INSTALLED_APPS += ["linkrouter.integrations.django"]
LINKROUTER = {{
    "BASE_URL": "{click}",
    "KEYS": "{home}/keys.json",
    "CENTRAL_URL": "{central}",
    "CENTRAL_TOKEN_FILE": "{home}/api-token",
}}
"""
BY_BACKEND = """
EMAIL_BACKEND = "linkrouter.integrations.django.EmailBackend"
LINKROUTER["BACKEND"] = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST, EMAIL_PORT = "127.0.0.1", {smtp}
"""
BY_MAILERS = """
MAILERS = {{
    "default": {{
        "BACKEND": "linkrouter.integrations.django.EmailBackend",
        "OPTIONS": {{"send_using": "smtp"}},
    }},
    "smtp": {{
        "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "OPTIONS": {{"host": "127.0.0.1", "port": {smtp}}},
    }},
}}
"""


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
        settings = BY_MAILERS if version == "6.1" else BY_BACKEND
        self.configure(COMMON + settings)

    def configure(self, text):
        central = f"http://127.0.0.1:{self.home.central_port}"
        with open(self.folder / "shop" / "settings.py", "a") as file:
            file.write(text.format(click=self.click, home=self.home.path, central=central, smtp=self.smtp))

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
    sent = shop.manage("linkrouter_test", "reader@example.net")

    assert "no issues" in checked.stdout
    assert "central was told" in sent.stdout
    message_id = re.search("sent, as (.+)", sent.stdout)[1]
    html = re.search("html: (.+)", sent.stdout)[1]
    [arrived] = wait_until(shop.mails)
    assert arrived["Message-ID"] == f"<{message_id}>"
    assert html in arrived.as_bytes().decode().replace("=\n", "")
    status, headers, _ = shop.click_on(html)
    assert (status, headers["Location"]) == (302, "https://example.com/")
    found = wait_until(lambda: (told := shop.message(message_id))["unique"] == 1 and told)
    assert (found["recipient"], found["clicks"]) == ("reader@example.net", 1)
    assert [link["clicks"] for link in found["links"] if link["part"] == "html"] == [1]


AWAY = """
import json
from django.core.mail import send_mail
answers = [send_mail(f"News {n}", "Look: https://example.com/", None, ["reader@example.net"]) for n in range(3)]
print(json.dumps(answers))
"""


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
