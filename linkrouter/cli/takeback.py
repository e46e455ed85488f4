"""`linkrouter takeback`: stop, replace or restore links that were sent.

Promise: a rule is signed on the sender's machine and wins over every genuine one for its match that central knows,
also where another sender's clock is fast. Nothing is handed in that a router would refuse, and nothing with --dry-run.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from linkrouter.errors import BadDestination, BadLink, BadRule, SettingsError
from linkrouter.link.codec import MAX_TENANT, decode_base64url, encode_base64url, varint
from linkrouter.link.destination import canonical_url
from linkrouter.link.keyring import Keyring
from linkrouter.link.takeback import (
    LIFT,
    REPLACE,
    STOP,
    match_destination,
    match_link,
    match_message,
    match_origin,
    origin_of,
    parse_take_back,
    sign_take_back,
    time_to_win,
)
from linkrouter.settings import read_tokens

__all__ = ["takeback"]

TIMEOUT_S = 30.0
FAST_CLOCK_S = 60  # ahead of ours; more is told
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class _Central:
    """Central, asked with a sender's token."""

    url: str
    token: str = field(repr=False)

    def ask(self, method: str, path: str, **more: Any) -> Any:
        import httpx

        headers = {"Authorization": f"Bearer {self.token}"}
        url = self.url.rstrip("/") + "/v1/take-backs" + path
        try:
            reply = httpx.request(method, url, headers=headers, timeout=TIMEOUT_S, **more)
            said = reply.json()
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise SettingsError(f"--central cannot be asked ({type(exc).__name__}); nothing was handed in") from exc
        except ValueError:
            raise SettingsError(f"--central answers {reply.status_code} and no JSON; give central's address") from None
        if reply.status_code in (401, 403):
            raise SettingsError("--token-file: central refuses the token; it needs scope takebacks and this tenant")
        if reply.status_code == 404 and "message_id" in more.get("json", ()):
            raise SettingsError("--message: central knows no message of this id")
        if reply.status_code != 200:
            raise SettingsError(f"--central answers {reply.status_code} ({said.get('reason') or said.get('title')})")
        return said


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the options name: the question to central, and the match it is under a key."""

    question: dict[str, Any] = field(repr=False)
    match: Callable[[int], str]


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        (
            click.option("--keys", required=True, type=click.Path(path_type=Path), help="Keyring file."),
            click.option("--url", help="All links to this URL."),
            click.option("--origin", help="All links to this scheme, host and port."),
            click.option("--link", help="This tracked link."),
            click.option("--message", help="All links of the message with this id (or with this message key)."),
            click.option("--position", type=click.IntRange(0, 2**31), help="Only the link at this place of --message."),
            click.option("--tenant", type=click.IntRange(0, MAX_TENANT), help="Whose links; that of --link, else 0."),
            *_CENTRAL,
            click.option("--dry-run", is_flag=True, help="Show the rule and what it matches; hand nothing in."),
        )
    ):
        command = option(command)
    return command


_CENTRAL = (
    click.option("--central", required=True, metavar="URL", help="Central's address."),
    click.option(
        "--token-file", required=True, type=click.Path(path_type=Path), help="File with a token of scope takebacks."
    ),
)


@click.group()
def takeback() -> None:
    """Stop, replace or restore links that were sent.

    A rule is in force at every router that central reaches within half a minute, and goes to standard output as JSON.
    """


@takeback.command("stop")
@_options
def stop_links(**options: Any) -> None:
    """Let links lead nowhere: a page says that the sender withdrew them."""
    _make(STOP, **options)


@takeback.command("replace")
@_options
@click.option("--to", required=True, metavar="URL", help="Where they lead from now on.")
def replace_links(to: str, **options: Any) -> None:
    """Let links lead to another URL."""
    _make(REPLACE, to=to, **options)


@takeback.command("lift")
@_options
def lift_rules(**options: Any) -> None:
    """Void the rules for these links: they lead where they were made to."""
    _make(LIFT, **options)


@takeback.command("list")
@_CENTRAL[0]
@_CENTRAL[1]
@click.option("--tenant", type=click.IntRange(0, MAX_TENANT), help="Of this tenant alone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with how far each router is.")
@click.option("--rules", "as_rules", is_flag=True, help="The rules alone, one a line, for 'linkrouter exit'.")
def list_rules(central: str, token_file: Path, tenant: int | None, as_json: bool, as_rules: bool) -> None:
    """Show all rules, the newest first: how many routers have each in force, and how many clicks it turned."""
    asked = _open_central(central, token_file)
    query: dict[str, int] = {"limit": _PAGE} | ({} if tenant is None else {"tenant": tenant})
    state = asked.ask("GET", "/status", params=query)
    page = state
    while page["next_before"] is not None:
        page = asked.ask("GET", "/status", params=query | {"before": page["next_before"]})
        state["rules"] += page["rules"]
    if as_json:
        del state["next_before"]
        click.echo(json.dumps(state))
        return
    for one in state["rules"]:
        rule = one["rule"]
        click.echo(
            json.dumps(rule)
            if as_rules
            else f"{one['seq']:>6}  {one['added_at'][:19]}Z  {rule['action']:7}  {rule['match']:34}  "
            f"tenant {rule['tenant']}  routers {one['routers']}  clicks {one['clicks']}  {one['added_by'] or '-'}"
        )


def _make(
    action: str,
    *,
    keys: Path,
    central: str,
    token_file: Path,
    dry_run: bool,
    tenant: int | None,
    to: str = "",
    **which: Any,
) -> None:
    ring, asked_central = Keyring.load(keys), _open_central(central, token_file)
    tenant, asked = _read_which(ring, asked_central, tenant, **which)
    key_ids = [key.id for key in ring.keys if key.state != "revoked"]
    question = asked.question | {"tenant": tenant, "matches": sorted({asked.match(key_id) for key_id in key_ids})}
    found = asked_central.ask("POST", "/matches", json=question)
    try:
        rule = sign_take_back(
            ring,
            match=asked.match(ring.key_that_signs()),
            action=action,
            made_at=_made_at(ring, found["newest"]),
            to=ring.sign(to, tenant=tenant) if to else "",
            tenant=tenant,
        )
    except BadDestination as exc:
        raise click.UsageError(f"--to cannot be a link's destination ({exc.reason})") from exc
    click.echo(json.dumps(rule._asdict()))
    click.echo(f"{found['links']} sent links in {found['messages']} messages that central was told of", err=True)
    if dry_run:
        click.echo("nothing was handed in", err=True)
        return
    receipt = asked_central.ask("POST", "", json={"rules": [rule._asdict()]})
    click.echo(f"rule {receipt['seq']}: in force at every router that central reaches within 30 seconds", err=True)


def _made_at(ring: Keyring, newest: Any) -> int:
    """Give when the rule is to be made, so that it wins over the *newest* there is."""
    now_s = int(time.time())
    try:
        made_at = time_to_win(parse_take_back(newest), ring, now_s)
    except BadRule:
        return now_s  # there is none, or central shows one that is none
    if made_at - 1 > now_s + FAST_CLOCK_S:
        click.echo(f"the last rule for these links is {made_at - 1 - now_s} s ahead of this machine's clock", err=True)
    return made_at


def _read_which(
    ring: Keyring,
    central: _Central,
    tenant: int | None,
    *,
    url: str | None,
    origin: str | None,
    link: str | None,
    message: str | None,
    position: int | None,
) -> tuple[int, _Asked]:
    """Give the tenant, and what exactly one of the options names."""
    if sum(value is not None for value in (url, origin, link, message)) != 1:
        raise click.UsageError("give one of --url, --origin, --link and --message")
    if position is not None and message is None:
        raise click.UsageError("--position goes with --message")
    if link is not None:
        return _read_link(ring, link, tenant)
    tenant = tenant or 0
    if message is not None:
        return tenant, _read_message(central, message, position, tenant)
    given, option = (url, "--url") if url is not None else (origin, "--origin")
    assert given is not None, "one of the two was given"
    try:
        destination = canonical_url(given)
    except BadDestination as exc:
        raise click.UsageError(f"{option} cannot be a link's destination ({exc.reason})") from exc
    if option == "--url":
        return tenant, _Asked(
            {"url": destination}, lambda key_id: match_destination(ring, given, tenant=tenant, key_id=key_id)
        )
    return tenant, _Asked(
        {"origin": origin_of(destination)}, lambda key_id: match_origin(ring, given, tenant=tenant, key_id=key_id)
    )


def _read_link(ring: Keyring, tracked_url: str, tenant: int | None) -> tuple[int, _Asked]:
    path = re.split(r"[?#]", re.sub(r"\Ahttps?://[^/?#]*", "", tracked_url), maxsplit=1)[0]
    try:
        found = ring.verify(path)
    except BadLink as exc:
        raise click.UsageError(f"--link is not a genuine link of this keyring ({exc})") from exc
    if tenant not in (None, found.tenant):
        raise click.UsageError(f"--link is of tenant {found.tenant}, not of tenant {tenant}")
    match = match_link(found.link_id)
    return found.tenant, _Asked({"link_id": encode_base64url(found.link_id)}, lambda _: match)


def _read_message(central: _Central, message: str, position: int | None, tenant: int) -> _Asked:
    """Find the message key: central knows that of a message id, unless *message* is a key itself."""
    key_text = message
    if re.fullmatch(r"[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]", message) is None:
        found = central.ask("POST", "/matches", json={"message_id": message, "tenant": tenant})
        key_text = found["message_key"]
        if key_text is None:
            raise SettingsError("--message has no message key: its sender made the link ids; use --link or --url")
    key = decode_base64url(key_text)
    if position is None:
        match = match_message(key)
        return _Asked({"message_key": key_text}, lambda _: match)
    link_id = key + varint(position)
    of_link = match_link(link_id)
    return _Asked({"link_id": encode_base64url(link_id)}, lambda _: of_link)


def _open_central(url: str, token_file: Path) -> _Central:
    return _Central(url, read_tokens(token_file, "--token-file")[0].token)
