"""The reputation sources that are installed, by name: entry points of the group `linkrouter.reputation_sources`.

Promise: a name gives the source that was registered under it, or an error that names those that are. An entry point
leads to a function from `CheckSettings` to a `Source`; another package adds a source with one such entry.
"""

from importlib.metadata import entry_points

from linkrouter.checker.reputation.interface import Source
from linkrouter.errors import SettingsError
from linkrouter.settings import REPUTATION_SOURCES, CheckSettings

__all__ = ["open_source"]


def open_source(name: str, settings: CheckSettings) -> Source:
    """Return the source that is registered as *name*.

    Raises:
        SettingsError: no source has this name, or a setting that it needs is missing or wrong.
    """
    found = list(entry_points(group=REPUTATION_SOURCES, name=name))
    if not found:
        names = ", ".join(sorted(entry_points(group=REPUTATION_SOURCES).names))
        raise SettingsError(f"REPUTATION: no source goes by {name!r}; installed are {names}")
    source: Source = found[0].load()(settings)
    return source
