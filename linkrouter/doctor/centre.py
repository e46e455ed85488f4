"""The centre as a router sees it: reachable, with this token, on the same clock, of the same version."""

import http.client
import json
import ssl
import time
from email.utils import parsedate_to_datetime

from linkrouter import __version__
from linkrouter.doctor.asking import Heard, hear
from linkrouter.doctor.finding import Finding

__all__ = ["look_at_centre"]

MAX_APART_S = 5.0  # of two clocks, the second of the header and the way included


def look_at_centre(url: str, token: str) -> list[Finding]:
    """Ask the centre at *url* for what every router asks it for, with *token*."""
    if not url:
        cure = "set INGEST_URL; without it clicks are kept and never sent"
        return [Finding("centre", "INGEST_URL is not set", cure)]
    try:
        heard = hear(f"{url.rstrip('/')}/v1/take-backs?after=0&limit=1", token)
    except ssl.SSLCertVerificationError as exc:
        cure = "renew it, or install the authority that signed it on this machine"
        return [Finding("centre", f"its certificate is not trusted ({exc.verify_message})", cure)]
    except (OSError, http.client.HTTPException) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
        cure = "start it, and see INGEST_URL, DNS and firewalls; clicks wait in the spool"
        return [Finding("centre", f"it cannot be reached ({reason})", cure)]
    return [*_judge_answer(heard), *_judge_clock(heard, time.time()), *_judge_version(url)]


def _judge_answer(heard: Heard) -> list[Finding]:
    if heard.status == 200:
        return []
    if heard.status in (401, 403):
        cure = "put it into the centre's INGEST_TOKEN_FILE with the scope clicks:write, and reload the centre"
        return [Finding("centre", f"it does not take this router's token (status {heard.status})", cure)]
    cure = "see the centre's journal, and whether INGEST_URL leads to it"
    return [Finding("centre", f"it answers with status {heard.status}", cure)]


def _judge_clock(heard: Heard, now: float) -> list[Finding]:
    try:
        apart_s = now - parsedate_to_datetime(heard.headers.get("date", "")).timestamp()
    except ValueError:
        return []
    if abs(apart_s) <= MAX_APART_S:
        return []
    cure = "run a time service on both: timedatectl set-ntp true"
    return [Finding("clock", f"this machine and the centre are {apart_s:+.0f} s apart", cure)]


def _judge_version(url: str) -> list[Finding]:
    try:
        version = json.loads(hear(f"{url.rstrip('/')}/openapi.json").body)["info"]["version"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return []
    if version == __version__:
        return []
    cure = "upgrade the older one: the centre by 'install.sh central', routers by 'install.sh colour'"
    return [Finding("version", f"the centre is {str(version)[:40]}, and this is {__version__}", cure)]
