"""The encoder for all that comes by: one for each mode, consent and tenant that was asked for.

Promise: a mail that cannot be read, or at which the encoder fails, comes back as it is. Keys are put in anew while
mails go through.
"""

from functools import partial

from linkrouter.encoder import Encoder, Mode, Rewritten
from linkrouter.integrations.mail_headers import MailLabels
from linkrouter.link import Keyring
from linkrouter.log import log

__all__ = ["Tracker"]

MAX_ENCODERS = 1000  # tenants come and go


class Tracker:
    """Rewrites mails as their labels say, or else as it was told.

    Raises:
        ValueError: *base_url* or *mode* is out of range.
        KeyringError: the keyring holds no key that may sign.
    """

    def __init__(
        self, base_url: str, keyring: Keyring, *, mode: Mode = "html-and-text", count_only: bool = False
    ) -> None:
        self._base_url = base_url
        self._mode, self._count_only = mode, count_only
        self.use(keyring)

    def use(self, keyring: Keyring) -> None:
        """Sign with *keyring* from now on.

        Raises:
            KeyringError: it holds no key that may sign.
        """
        Encoder(self._base_url, keyring, mode=self._mode)
        self._make = partial(Encoder, self._base_url, keyring)
        self._encoders: dict[tuple[Mode, bool, int], Encoder] = {}

    def encoder(self, labels: MailLabels, tenant: int) -> Encoder:
        """Give the encoder for a mail with *labels* of *tenant*."""
        count_only = self._count_only if labels.count_only is None else labels.count_only
        key = (labels.mode or self._mode, count_only, tenant)
        found = self._encoders.get(key)
        if found is None:
            if len(self._encoders) >= MAX_ENCODERS:
                self._encoders.clear()
            found = self._encoders[key] = self._make(mode=key[0], count_only=count_only, tenant=tenant)
        return found

    def is_counted_only(self, labels: MailLabels) -> bool:
        """Whether clicks of a mail with *labels* are only counted."""
        return self._count_only if labels.count_only is None else labels.count_only

    def track(self, content: bytes, labels: MailLabels, tenant: int) -> Rewritten[bytes]:
        """Rewrite a whole mail."""
        try:
            return self.encoder(labels, tenant).rewrite_message(content)
        except Exception as exc:  # the border: no mail is held up by a fault of ours
            log("mail.untracked", exception=type(exc).__name__)
            return Rewritten(content)
