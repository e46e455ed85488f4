"""What is wrong with a machine that `deploy/install.sh` set up: routers of both colours, the centre, and HAProxy."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from linkrouter.doctor.database import look_at_backups
from linkrouter.doctor.finding import Finding, finding_of
from linkrouter.doctor.front import look_at_certificates, look_at_names
from linkrouter.doctor.ports import look_at_limits, read_metrics
from linkrouter.doctor.services import examine_central, examine_files_of_router
from linkrouter.errors import KeyringError, SettingsError
from linkrouter.link.keyring import Keyring
from linkrouter.settings import CentralSettings, RouterSettings, read_settings

__all__ = ["InstalledPlaces", "examine_machine"]

COLOURS = ("blue", "green")
KEY_INFO = re.compile(r'(?m)^linkrouter_key_info\{key_id="(\d+)",state="(\w+)"\} 1\.0$')
BUILD_INFO = re.compile(r'(?m)^linkrouter_build_info\{[^}]*version="([^"]+)"')


@dataclass(frozen=True, slots=True)
class InstalledPlaces:
    """Where install.sh puts things."""

    settings: Path = Path("/etc/linkrouter")
    haproxy: Path = Path("/etc/haproxy/linkrouter")
    spool: Path = Path("/var/lib/linkrouter/spool")
    backups: Path = Path("/var/backups/linkrouter")


def examine_machine(places: InstalledPlaces, now: datetime | None = None) -> list[Finding]:
    """Look at all that is installed at *places*; what several services share is said once."""
    now = now or datetime.now(UTC)
    routers = [path for colour in COLOURS for path in sorted(places.settings.glob(f"{colour}-*.env"))]
    findings: list[Finding] = []
    if routers:
        findings += _examine_routers(places, routers)
        findings += look_at_names(places.haproxy / "names.txt")
        findings += look_at_certificates(places.haproxy / "crt-list.txt", now)
    if (places.settings / "central.env").exists():
        findings += _examine_central(places, now)
    elif not routers:
        cure = "run deploy/install.sh first, or name the folder with --settings"
        findings.append(Finding("settings", f"{str(places.settings)!r} has neither routers nor a centre", cure))
    return list(dict.fromkeys(findings))


def _examine_routers(places: InstalledPlaces, files: list[Path]) -> list[Finding]:
    """Look at what the routers share, and at each that runs; a colour that is stopped as a whole stands by."""
    findings: list[Finding] = []
    shown: dict[str, str] = {}
    for file in files:
        values = {"KEYS": f"{places.settings}/keys.json", "INGEST_TOKEN_FILE": f"{places.settings}/ingest-tokens"}
        values["CLICK_STORE"] = f"sqlite:///{places.spool}"
        try:
            environ = {f"LINKROUTER_{name}": value for name, value in values.items()}
            settings = read_settings(
                RouterSettings, {}, environ | _variables(places.settings / "router.env") | _variables(file)
            )
        except SettingsError as exc:
            findings.append(finding_of("settings", exc))
            continue
        findings += examine_files_of_router(settings)
        if metrics := read_metrics(settings.admin_listen)[0]:
            shown[file.stem] = metrics
            findings += look_at_limits(metrics, file.stem)
    return [*findings, *_missing(files, shown), *_differences(shown, places.settings / "keys.json")]


def _missing(files: list[Path], shown: Mapping[str, str]) -> list[Finding]:
    running = {name.partition("-")[0] for name in shown}
    findings = []
    for name in (file.stem for file in files):
        colour, _, number = name.partition("-")
        if name not in shown and (colour in running or not running):
            unit = f"linkrouter-{colour}@{number}"
            cure = f"see journalctl -u {unit}, then systemctl start {unit}"
            findings.append(Finding("router", f"{name} does not answer at its admin port", cure))
    return findings


def _differences(shown: Mapping[str, str], keyring: Path) -> list[Finding]:
    """Compare keys and versions of all routers that run, with each other and with the keyring of the machine."""
    findings = []
    try:
        wanted = {(str(key.id), key.state) for key in Keyring.load(keyring).keys}
    except KeyringError:
        wanted = None  # said already
    for name, metrics in shown.items():
        if wanted is not None and (used := set(KEY_INFO.findall(metrics))) != wanted:
            keys = " ".join(f"{key_id}:{state}" for key_id, state in sorted(used)) or "none"
            cure = "run 'linkrouter-deploy reload'"
            findings.append(Finding("keys", f"{name} uses other keys than {str(keyring)!r} ({keys})", cure))
    versions = {name: found[1] for name, metrics in shown.items() if (found := BUILD_INFO.search(metrics))}
    if len(set(versions.values())) > 1:
        said = ", ".join(f"{name} {version}" for name, version in versions.items())
        cure = "install.sh colour COLOUR for the older one, when the newer has proved itself"
        findings.append(Finding("version", f"routers are of different versions ({said})", cure))
    return findings


def _examine_central(places: InstalledPlaces, now: datetime) -> list[Finding]:
    files = {name: f"{places.settings}/{name}-tokens" for name in ("ingest", "api")}
    environ = {f"LINKROUTER_{name.upper()}_TOKEN_FILE": path for name, path in files.items()}
    try:
        settings = read_settings(CentralSettings, {}, environ | _variables(places.settings / "central.env"))
    except SettingsError as exc:
        return [finding_of("settings", exc)]
    backups = look_at_backups(places.backups, now) if settings.database.startswith("sqlite:") else []
    return [*examine_central(settings), *backups]


def _variables(file: Path) -> dict[str, str]:
    """Read a file of variables as systemd does (EnvironmentFile=), as far as install.sh writes them."""
    try:
        lines = [line.strip() for line in file.read_text().splitlines()]
    except OSError as exc:
        raise SettingsError(f"{str(file)!r} cannot be read ({exc.strerror}); run this as root") from exc
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith(("#", ";"))]
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
