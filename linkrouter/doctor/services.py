"""What is wrong with one router or one centre, by its settings."""

from pathlib import Path

from linkrouter.clicks.store import StoreLimits
from linkrouter.doctor.centre import look_at_centre
from linkrouter.doctor.database import look_at_database
from linkrouter.doctor.disks import look_at_database_disk, look_at_spool_disk
from linkrouter.doctor.files import look_at_directory, look_at_domains, look_at_keys, look_at_tokens
from linkrouter.doctor.finding import Finding
from linkrouter.doctor.ports import look_at_limits, look_at_port, read_metrics
from linkrouter.settings import CentralSettings, RouterSettings, read_tokens

__all__ = ["examine_central", "examine_files_of_router", "examine_router"]

SQLITE = "sqlite:///"


def examine_router(settings: RouterSettings, unit: str = "linkrouter-COLOUR@NUMBER") -> list[Finding]:
    """Look at a router that should be running: its files, disk, ports, limits, and its way to the centre."""
    metrics, port_findings = read_metrics(settings.admin_listen)
    return [
        *examine_files_of_router(settings),
        *look_at_port(settings.listen, unit),
        *port_findings,
        *look_at_limits(metrics, f"the router at {settings.listen}"),
    ]


def examine_files_of_router(settings: RouterSettings) -> list[Finding]:
    """Look at what a router needs before it runs: files, disk, and the way to the centre."""
    mounted, file = settings.mounted_secrets, settings.ingest_token_file
    token_findings = look_at_tokens(file, "INGEST_TOKEN_FILE", accept_mounted=mounted)
    findings = [
        *look_at_keys(settings.keys, accept_mounted=mounted),
        *token_findings,
        *look_at_domains(settings.domains),
    ]
    if settings.click_store.startswith(SQLITE):
        directory = Path(settings.click_store.removeprefix(SQLITE))
        limits = StoreLimits(settings.spool_max_bytes, settings.spool_reserve_bytes)
        findings += [*look_at_directory(directory, "CLICK_STORE"), *look_at_spool_disk(directory, limits)]
    if file is None or token_findings:
        return findings  # with no token there is nothing to ask the centre
    token = read_tokens(file, "INGEST_TOKEN_FILE", accept_mounted=mounted)[0].token
    return [*findings, *look_at_centre(settings.ingest_url, token)]


def examine_central(settings: CentralSettings) -> list[Finding]:
    """Look at a centre that should be running: its files, disk, database, ports and limits."""
    metrics, port_findings = read_metrics(settings.admin_listen)
    mounted = settings.mounted_secrets
    findings = [
        *look_at_tokens(settings.ingest_token_file, "INGEST_TOKEN_FILE", accept_mounted=mounted),
        *look_at_tokens(settings.api_token_file, "API_TOKEN_FILE", accept_mounted=mounted),
    ]
    if settings.database.startswith(SQLITE):
        path = Path(settings.database.removeprefix(SQLITE))
        findings += [
            *look_at_directory(path.parent, "DATABASE"),
            *look_at_database_disk(path),
            *look_at_database(path),
        ]
    return [
        *findings,
        *look_at_port(settings.listen, "linkrouter-central"),
        *port_findings,
        *look_at_limits(metrics, "the centre"),
    ]
