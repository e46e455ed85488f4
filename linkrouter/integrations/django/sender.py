"""What a mailer needs to send: encoders, and who reports; made from its options and kept for the next mail.

Promise: a keyring file that was changed is read again before the next mail is signed, and one that cannot be read then
leaves the keys in use. What will not do at first is `ImproperlyConfigured`, with the name of the setting.
"""

import os
from functools import lru_cache
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from linkrouter.encoder import Encoder, Mode
from linkrouter.errors import LinkrouterError
from linkrouter.integrations.django.options import SenderOptions
from linkrouter.integrations.reporting import CentralClient, Reporter, shared_reporter
from linkrouter.link import Keyring
from linkrouter.log import log
from linkrouter.settings import read_tokens

__all__ = ["encoder_for", "find_reporter", "read_keyring"]

_Stamp = tuple[int, int, int]

_tokens: dict[Path, str] = {}
_keyrings: dict[tuple[Path, bool], tuple[_Stamp, Keyring]] = {}


def read_keyring(options: SenderOptions) -> Keyring:
    """Give the keyring as its file has it now.

    Raises:
        ImproperlyConfigured: it cannot be read, and never was.
    """
    known = _keyrings.get((options.keys, options.mounted_secrets))
    stamp = (0, 0, 0)
    try:
        status = os.stat(options.keys)
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if known is not None and known[0] == stamp:
            return known[1]
        keyring = Keyring.load(options.keys, accept_mounted=options.mounted_secrets)
        keyring.signer(part="html", tenant=options.tenant)  # there is a key that may sign
    except (OSError, LinkrouterError) as exc:
        if known is None:
            why = exc if isinstance(exc, LinkrouterError) else f"{str(options.keys)!r} cannot be read ({exc.strerror})"
            raise ImproperlyConfigured(f"LINKROUTER['KEYS']: {why}") from exc
        log("keyring.kept", reason=type(exc).__name__)
        keyring = known[1]
    _keyrings[options.keys, options.mounted_secrets] = (stamp, keyring)
    return keyring


@lru_cache(maxsize=64)
def encoder_for(options: SenderOptions, keyring: Keyring, mode: Mode, count_only: bool) -> Encoder:
    """Give the encoder for one kind of mail.

    Raises:
        ImproperlyConfigured: the options do not go together.
    """
    try:
        return Encoder(
            options.base_url,
            keyring,
            mode=mode,
            tenant=options.tenant,
            count_only=count_only,
            visible_urls=options.visible_urls,
            excluded_domains=options.excluded_domains,
            track_unsubscribe=options.track_unsubscribe,
            trap_link=options.trap_link,
        )
    except ValueError as exc:
        raise ImproperlyConfigured(f"LINKROUTER: {exc}") from None


def find_reporter(options: SenderOptions) -> Reporter | None:
    """Give who tells central of this mailer's mails; None without a central.

    Raises:
        ImproperlyConfigured: the token cannot be read.
    """
    if options.central_url is None or options.central_token_file is None or options.spool is None:
        return None
    # A folder for each tenant: their tokens differ, and central refuses one tenant's mail with another's token.
    central = CentralClient(options.central_url, _read_token(options.central_token_file, options.mounted_secrets))
    return shared_reporter(central, options.spool / f"tenant-{options.tenant}")


def _read_token(path: Path, mounted_secrets: bool) -> str:
    """Read the token anew, since it may have been changed; one that cannot be read then leaves the one in use."""
    try:
        lines = read_tokens(path, "LINKROUTER['CENTRAL_TOKEN_FILE']", accept_mounted=mounted_secrets)
    except LinkrouterError as exc:
        if path not in _tokens:
            raise ImproperlyConfigured(str(exc)) from exc
        log("tokens.kept", reason=type(exc).__name__)
        return _tokens[path]
    _tokens[path] = lines[0].token
    return _tokens[path]
