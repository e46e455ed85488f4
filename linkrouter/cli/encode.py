"""`linkrouter encode`: rewrite the links of a mail from standard input or a file to standard output."""

import json
import re
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from linkrouter.checker.mail.kinds import is_message
from linkrouter.link.keyring import Keyring
from linkrouter.secretfile import open_for_owner

if TYPE_CHECKING:
    from linkrouter.encoder import Mode, Rewritten, VisibleUrls

__all__ = ["encode", "guess_type"]

_TAG = re.compile(rb"<(?:!doctype|html|head|body|table|div|p|a|span|img|h[1-6])\b", re.IGNORECASE)
_GUESS_BYTES = 64 * 1024


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--keys", required=True, type=click.Path(path_type=Path), help="Keyring file.")
@click.option("--base-url", required=True, help="Where routers answer, such as https://click.example.com.")
@click.option("--type", "content_type", type=click.Choice(["eml", "html", "text"]), help="Guessed when not given.")
@click.option(
    "--mode",
    type=click.Choice(["html-and-text", "html-only", "text-only", "none"]),
    default="html-and-text",
    show_default=True,
    help="Which parts of a mail are tracked.",
)
@click.option("--tenant", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Whose links they are.")
@click.option("--count-only", is_flag=True, help="Record clicks without address and agent.")
@click.option(
    "--visible-urls",
    type=click.Choice(["track", "skip"]),
    default="track",
    show_default=True,
    help="Links whose visible text is itself a URL: some mail clients warn when it differs from the target.",
)
@click.option("--trap-link", is_flag=True, help="Put one invisible link into the HTML, which only machines follow.")
@click.option("--manifest", type=click.Path(path_type=Path), help="Append what POST /v1/messages takes to this file.")
@click.option("--message-id", help="For the manifest; by default the mail's own, else a fresh one.")
@click.option("--recipient", help="For the manifest.")
@click.option("--tag", help="For the manifest.")
def encode(
    file: BinaryIO,
    keys: Path,
    base_url: str,
    content_type: str | None,
    mode: "Mode",
    tenant: int,
    count_only: bool,
    visible_urls: "VisibleUrls",
    trap_link: bool,
    manifest: Path | None,
    message_id: str | None,
    recipient: str | None,
    tag: str | None,
) -> None:
    """Replace the links of a mail by tracked links; everything else stays byte for byte.

    What was left alone, and why, is said on standard error.
    """
    from linkrouter.encoder import Encoder
    from linkrouter.integrations.mail_headers import find_message_id
    from linkrouter.integrations.manifest import manifest_entry

    try:
        encoder = Encoder(
            base_url,
            Keyring.load(keys),
            mode=mode,
            tenant=tenant,
            count_only=count_only,
            visible_urls=visible_urls,
            trap_link=trap_link,
        )
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    raw = file.read()
    content_type = content_type or guess_type(raw)
    if content_type == "eml":
        done = encoder.rewrite_message(raw)
    else:
        done = encoder.rewrite_html(raw) if content_type == "html" else encoder.rewrite_text(raw)
    if manifest is not None and done.links:
        entry = manifest_entry(
            done.links,
            message_id or find_message_id(raw) or str(uuid.uuid4()),
            recipient,
            tag,
            tenant,
            message_key=done.message_key,
        )
        _append(manifest, entry)
    sys.stdout.buffer.write(done.content)
    sys.stdout.buffer.flush()
    _report(done)


def guess_type(raw: bytes) -> str:
    """Tell a whole message ("eml") from "html" and "text" by how *raw* begins."""
    start = raw[:_GUESS_BYTES]
    if is_message(start):
        return "eml"
    return "html" if _TAG.search(start) else "text"


def _append(manifest: Path, entry: dict[str, object]) -> None:
    """Append one line; a new file is for its owner alone, since it holds recipients and links with their secrets."""
    with open(manifest, "a", encoding="ascii", opener=open_for_owner) as out:
        out.write(json.dumps(entry) + "\n")


def _report(done: "Rewritten[bytes]") -> None:
    """Say what was done, without the URLs: standard error ends up in logs."""
    if done.reason:
        click.echo(f"unchanged: {done.reason}", err=True)
    for reason in done.unread:
        click.echo(f"a part could not be read: {reason}", err=True)
    visible = sum(link.visible_url for link in done.links)
    click.echo(f"{len(done.links)} tracked, {len(done.skipped)} left alone", err=True)
    for link in done.skipped:
        click.echo(f"  {link.part} {link.position}: {link.reason}", err=True)
    if visible:
        click.echo(f"  {visible} show a URL as their text: some mail clients warn about those", err=True)
