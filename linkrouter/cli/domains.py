"""`linkrouter domains`: look at a file of own domains as a router does."""

import json
from pathlib import Path

import click

__all__ = ["domains"]


@click.group()
def domains() -> None:
    """Look at the file of own domains."""


@domains.command("list")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with the fingerprint that routers show.")
def list_domains(file: Path, as_json: bool) -> None:
    """Show the domains in FILE with their tenants and app files; a FILE that no router would take is an error."""
    from linkrouter.router.domains import load_domains

    found = load_domains(file)
    assert found is not None, "there is a file"
    files: dict[str, list[str]] = {name: [] for name in sorted(found.tenants)}
    for host, path in sorted(found.files):
        files[host].append(path)
    if as_json:
        rows = [{"name": name, "tenant": found.tenants[name], "files": paths} for name, paths in files.items()]
        click.echo(json.dumps({"fingerprint": found.fingerprint, "domains": rows}))
        return
    for name, paths in files.items():
        click.echo("  ".join((name, f"tenant {found.tenants[name]}", *paths)))
