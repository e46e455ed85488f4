"""Ports: who answers there, whether it is ready, and what its metrics say of it."""

import http.client
import re

from linkrouter.doctor.asking import hear
from linkrouter.doctor.finding import Finding
from linkrouter.settings import Address

__all__ = ["look_at_limits", "look_at_port", "read_metrics"]

LEAST_FILES = 4096  # each connection is one, and HAProxy opens many
MOST_USED = 0.8


def look_at_port(listen: Address, unit: str) -> list[Finding]:
    """Look whether a service of ours answers at *listen*, and whether it is ready; *unit* is what starts it."""
    try:
        heard = hear(f"http://{listen}/-/ready")
    except ConnectionRefusedError:
        cure = f"start it: systemctl start {unit}; if it does not stay: journalctl -u {unit}"
        return [Finding("port", f"nobody listens at {listen} (LISTEN)", cure)]
    except (OSError, http.client.HTTPException) as exc:
        cure = f"see journalctl -u {unit}; another program there must go"
        return [Finding("port", f"no answer at {listen} (LISTEN): {type(exc).__name__}", cure)]
    if heard.status == 200:
        return []
    if heard.status == 503:
        cure = f"see journalctl -u {unit}, and whether its disk has room"
        return [Finding("port", f"what listens at {listen} is not ready", cure)]
    cure = "stop that program, or give LISTEN another port"
    return [Finding("port", f"another program listens at {listen} (status {heard.status})", cure)]


def read_metrics(listen: Address) -> tuple[str, list[Finding]]:
    """Give what the admin port shows, "" with a finding when it shows nothing of ours."""
    try:
        heard = hear(f"http://{listen}/metrics")
    except (OSError, http.client.HTTPException):
        cure = "start the service, or give ADMIN_LISTEN where it shows them"
        return "", [Finding("port", f"nobody shows metrics at {listen} (ADMIN_LISTEN)", cure)]
    text = heard.body.decode(errors="replace")
    if "linkrouter_build_info{" not in text:
        cure = "give ADMIN_LISTEN a free port, and restart the service"
        return "", [Finding("port", f"another program listens at {listen} (ADMIN_LISTEN)", cure)]
    return text, []


def look_at_limits(metrics: str, who: str) -> list[Finding]:
    """Look at the open files of the process that showed *metrics*."""
    found = {name: float(value) for name, value in re.findall(r"(?m)^(process_(?:open|max)_fds) (\S+)$", metrics)}
    most, used = found.get("process_max_fds", LEAST_FILES), found.get("process_open_fds", 0)
    cure = "set LimitNOFILE=65536 in its unit (or 'ulimit -n'), and restart it"
    if most < LEAST_FILES:
        return [Finding("limits", f"{who} may open {most:.0f} files, and should {LEAST_FILES} or more", cure)]
    if used > MOST_USED * most:
        return [Finding("limits", f"{who} has {used:.0f} of {most:.0f} files open", cure)]
    return []
