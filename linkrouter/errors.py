"""Every error this package raises, in one tree.

    LinkrouterError
    ├── BadLink            a path is not a genuine tracked link (a router's constant 404)
    │   └── UnknownKey     its key is not in the keyring at all, as with one that lags behind
    ├── BadRule            a take-back is not one that this keyring signed, or cannot be made
    ├── BadDestination     a URL may not be redirected to, so it cannot be signed
    ├── KeyringError       a keyring file cannot be used; says the cure
    ├── ExposedSecret      a file of secrets can be read by others; whoever reads it says which file that is
    ├── SettingsError      a setting is missing or wrong; names it and says the cure
    ├── StoreError         a click store cannot be opened or written
    │   ├── StoreFull      it is at its limit; try again when sync has made room
    │   └── DamagedFrame   a segment gave back other bytes than were written; its store reads it back as backlog
    ├── NoRing             clicks cannot go through shared memory here; says why
    └── HeldMail           the gate did not answer "send" for a mail that was to be rewritten

Messages are lower case, name the subject first and carry neither a link nor a secret. What an
error knows beyond its message rides as attributes. Expected outcomes (a dead link, a duplicate
batch, a link left alone) are values, not errors.
"""

__all__ = [
    "BadDestination",
    "BadLink",
    "BadRule",
    "DamagedFrame",
    "ExposedSecret",
    "HeldMail",
    "KeyringError",
    "LinkrouterError",
    "NoRing",
    "SettingsError",
    "StoreError",
    "StoreFull",
    "UnknownKey",
]


class LinkrouterError(Exception):
    """The root: whatever this package raises on purpose."""


class BadLink(LinkrouterError):
    """A path was not a genuine tracked link.

    The reason is for the person at the command line; a router answers all of them alike.
    """


class UnknownKey(BadLink):
    """A path named a key that the keyring does not have; one that it has revoked is a plain `BadLink`."""


class BadRule(LinkrouterError):
    """A take-back could not be read, verified or made; the reason is one of a fixed set of lines."""


class BadDestination(LinkrouterError):
    """A URL could not be signed; `reason` is one of a fixed set of words, never the URL."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeyringError(LinkrouterError):
    """A keyring could not be read, or does not hold the key that was asked for."""


class ExposedSecret(LinkrouterError):
    """A file of secrets could be read by others than its owner and a group of this process."""


class SettingsError(LinkrouterError):
    """A setting was missing or malformed."""


class StoreError(LinkrouterError):
    """A store could not be opened, or did not take what it was given."""


class StoreFull(StoreError):
    """A store was at its size limit, or its disk was full."""


class DamagedFrame(StoreError):
    """A row of a segment did not hold the bytes that were written; it does not leave the store."""


class NoRing(LinkrouterError):
    """There is no place for rings here; a router then does everything in one process, unless told otherwise."""


class HeldMail(LinkrouterError):
    """A mail was not rewritten because its links may not be sent (yet).

    `links` holds the links that hold it, for the caller to show; the message has only their number.
    """

    def __init__(self, message: str, links: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.links = links
