"""The settings of what stands beside a sender: `linkrouter relay` and `linkrouter encoder`."""

from dataclasses import dataclass
from pathlib import Path

from linkrouter.settings.check import CheckSettings
from linkrouter.settings.fields import (
    Address,
    parse_address,
    parse_choice,
    parse_http_url,
    parse_number,
    parse_seconds,
    parse_size,
    parse_switch,
    setting,
)

__all__ = ["EncoderSettings", "RelaySettings", "SenderSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSettings(CheckSettings):
    """What both can be told: how links are tracked, where mail goes, what central is told, what the check asks."""

    keys: Path = setting("Keyring file.", Path)
    base_url: str = setting("Where routers answer, such as https://click.example.com.", parse_http_url)
    mode: str = setting(
        "Which parts are tracked: html-and-text, html-only, text-only or none.",
        parse_choice("html-and-text", "html-only", "text-only", "none"),
        "html-and-text",
    )
    tenant: int = setting("Whose links they are, where the token does not say.", parse_number(0, 2**32 - 1), 0)
    count_only: bool = setting("Record clicks without address and agent, unless a mail says no.", parse_switch, False)
    gate: str = setting(
        "on holds mails whose links are not known to be clean, warn only tells.",
        parse_choice("off", "warn", "on"),
        "off",
    )
    copies: str = setting(
        "each sends every recipient a copy with links of their own, one sends all of them the same.",
        parse_choice("each", "one"),
        "each",
    )
    next_hop_tls: str = setting(
        "auto, starttls (or nothing), tls (from the first byte) or off.",
        parse_choice("auto", "starttls", "tls", "off"),
        "auto",
    )
    next_hop_ca: Path | None = setting("File with certificates that the next hop's may be signed by.", Path, None)
    next_hop_user: str = setting("The name for AUTH at the next hop.", str, "")
    next_hop_password_file: Path | None = setting("File with the password for it.", Path, None)
    next_hop_timeout_s: float = setting("Seconds for each answer of the next hop.", parse_seconds, 120.0)
    central_url: str = setting("Central's address; without it nobody is told of mails.", parse_http_url, "")
    central_token_file: Path | None = setting("File with a token for central that has messages:write.", Path, None)
    spool: Path = setting("Folder for reports that central has not taken yet.", Path, Path("sent"))
    max_message_bytes: int = setting("Size of a mail at most.", parse_size, 32 * 1024**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings(SenderSettings):
    """What `linkrouter relay` can be told."""

    listen: Address = setting("Where senders connect.", parse_address, Address("127.0.0.1", 2525))
    admin_listen: Address = setting("Where /metrics is.", parse_address, Address("127.0.0.1", 9025))
    next_hop: Address = setting("The mail server that mails go to.", parse_address)
    token_file: Path | None = setting(
        "File with senders' passwords, one a line, with name=USER and tenant=N; with it senders must log in.",
        Path,
        None,
    )
    tls_cert: Path | None = setting(
        "Certificate for STARTTLS, in PEM; with its key, unless TLS_KEY is given.", Path, None
    )
    tls_key: Path | None = setting("Its key.", Path, None)
    hostname: str = setting("The name the relay goes by; the machine's by default.", str, "")
    max_connections: int = setting("Senders at once at most.", parse_number(1, 10_000), 100)
    max_recipients: int = setting("Recipients of one mail at most.", parse_number(1, 10_000), 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings(SenderSettings):
    """What `linkrouter encoder` can be told."""

    listen: Address = setting("Where senders connect.", parse_address, Address("127.0.0.1", 8070))
    admin_listen: Address = setting("Where /metrics is.", parse_address, Address("127.0.0.1", 9070))
    next_hop: Address | None = setting(
        "The mail server for POST /email; without it that is not offered.", parse_address, None
    )
    token_file: Path = setting("File with senders' tokens, one a line, with tenant=N.", Path)
