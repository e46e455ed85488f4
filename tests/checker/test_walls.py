"""The checker's pure half stays pure: it can be imported without anything that does I/O."""

import subprocess
import sys

from processes import HANG_S

PURE = [
    "checker.fetch.classify",
    "checker.fetch.head_hosts",
    "checker.fetch.landing",
    "checker.fetch.lying_hosts",
    "checker.fetch.own_links",
    "checker.fetch.refresh",
    "checker.fetch.walk",
    "checker.formats",
    "checker.gate",
    "checker.lifetimes",
    "checker.mail.extract",
    "checker.mail.rules",
    "checker.reputation.codes",
    "checker.reputation.interface",
    "checker.urls",
    "checker.verdict",
    "dial.addresses",
]
IMPURE = {"aiodns", "aiohttp", "aiosqlite", "click", "httpcore", "httpx", "rich", "sqlite3"}


def test_the_pure_modules_import_nothing_that_does_io():
    script = f"import sys, {', '.join(f'linkrouter.{module}' for module in PURE)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=HANG_S)

    assert done.returncode == 0, done.stderr
    assert not IMPURE & {name.partition(".")[0] for name in done.stdout.split()}


def test_the_command_and_the_library_import_without_the_extra():
    script = (
        "import sys\n"
        "for name in ('aiodns', 'h2', 'publicsuffixlist', 'rich', 'pycares'): sys.modules[name] = None\n"
        "import linkrouter, linkrouter.cli.check, linkrouter.checker.compose, linkrouter.checker.reputation.dnsbl\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=HANG_S)

    assert done.returncode == 0, done.stderr
