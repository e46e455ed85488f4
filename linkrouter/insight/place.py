"""Where an address is: from files that the operator names, else its country from `iptocc`, else unknown.

Promise: a file that is missing, broken or foreign costs one log line and never an answer: what was read before goes on.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from linkrouter.insight.geofile import Attribution, GeoFile, Place, open_geo_file
from linkrouter.insight.networks import IPv4Or6, parse_ip
from linkrouter.log import log

try:
    from iptocc import country_code
except ImportError:  # the extra "geo" is not installed

    def country_code(addr: str) -> str | None:  # type: ignore[no-redef]
        return None


__all__ = ["Places"]

MAX_CACHED_PLACES = 32_768  # places of addresses: about 10 MB

_Stamp = tuple[int, int, int] | None  # time of change, size and number of a file; None when it is missing


class Places:
    """The files of places, the most precise answer among them, and a bounded memory of answers.

    Raises:
        SettingsError: files are named and the extra `geo` is missing.
    """

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self._files: dict[Path, GeoFile] = {}
        self._stamps: dict[Path, _Stamp | str] = dict.fromkeys(paths, "never looked at")
        self._find = lru_cache(MAX_CACHED_PLACES)(self._look_up)
        self.refresh()

    def find_place(self, ip: str | None) -> Place:
        """Give the place of *ip*, which may be cut to its network."""
        return self._find(ip)

    def refresh(self) -> None:
        """Open the files that changed; call it now and then, it costs a `stat` a file."""
        for number, (path, known) in enumerate(self._stamps.items(), 1):
            stamp = _stamp(path)
            if stamp == known:
                continue
            self._stamps[path] = stamp  # also of a bad file, so that it is reported once
            try:
                opened = open_geo_file(path)
            except (OSError, ValueError) as exc:
                log("geoip.kept", file=number, reason=type(exc).__name__)
                continue
            before = self._files.get(path)
            self._files[path] = opened
            self._find.cache_clear()
            if before is not None:
                before.close()
            log("geoip.loaded", file=number)

    @property
    def sources(self) -> tuple[Attribution, ...]:
        """What a page that shows places has to say, file by file, each once."""
        found = [self._files[path].attribution for path in self._stamps if path in self._files]
        return tuple(dict.fromkeys(source for source in found if source is not None))

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._find.cache_clear()

    def _look_up(self, ip: str | None) -> Place:
        address = parse_ip(ip)
        if address is None:
            return Place()
        files = [self._files[path] for path in self._stamps if path in self._files]
        places = [place for file in files if (place := file.find_place(address)) is not None]
        if places:
            return max(places, key=_precision)  # the first of the most precise
        return Place(_registered_country(address) or "unknown")


def _precision(place: Place) -> int:
    return sum(name != "unknown" for name in (place.country, place.region, place.city))


def _registered_country(address: IPv4Or6) -> str | None:
    """Give the country whose registry handed the address out: right for nine in ten."""
    return country_code(str(address))


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
