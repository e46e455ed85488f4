"""One file of places in MaxMind's format, of any vendor, held as it was when it was opened.

Promise: whoever writes over the file, what is held stays whole. The reader maps a copy that is unlinked at once: a
mapped file that is cut short under its reader ends the process with a bus error.
"""

import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from linkrouter.errors import SettingsError
from linkrouter.insight.networks import IPv4Or6

try:
    import maxminddb
except ImportError:  # the extra "geo" is not installed
    maxminddb = None  # type: ignore[assignment]

__all__ = ["Attribution", "GeoFile", "Place", "open_geo_file", "read_record"]

PROBED_RECORDS = 1_000  # a file of places names a country in one of its first thousand


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address is: an ISO 3166-1 country, names of region and city; "unknown" where nothing is known."""

    country: str = "unknown"
    region: str = "unknown"
    city: str = "unknown"


@dataclass(frozen=True, slots=True)
class Attribution:
    """What a page has to say, and where it has to lead, when it shows the data of a file."""

    text: str
    url: str


_ATTRIBUTIONS = {
    # what a file's type begins with, in lower case: what its licence asks for
    "dbip": Attribution("IP Geolocation by DB-IP", "https://db-ip.com"),
    "geolite2": Attribution("This product includes GeoLite2 data created by MaxMind", "https://www.maxmind.com"),
    "ipinfo": Attribution("IP address data powered by IPinfo", "https://ipinfo.io"),
}


class GeoFile:
    """An open file of places."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        metadata = reader.metadata()
        self._has_ipv6 = metadata.ip_version == 6
        kind = metadata.database_type.lower()
        self.attribution = next((text for name, text in _ATTRIBUTIONS.items() if kind.startswith(name)), None)

    def find_place(self, address: IPv4Or6) -> Place | None:
        """Give the place of *address*, or None where the file has none, or cannot hold such an address."""
        if address.version == 6 and not self._has_ipv6:
            return None
        try:
            place = read_record(self._reader.get(address))
        except (maxminddb.InvalidDatabaseError, ValueError):  # a damaged record; the rest of the file serves
            return None
        return None if place == Place() else place

    def close(self) -> None:
        self._reader.close()


def open_geo_file(path: Path) -> GeoFile:
    """Open a copy of *path*.

    Raises:
        SettingsError: the extra `geo` is missing.
        OSError: the file cannot be read, or there is no room for a copy.
        ValueError: it is damaged, or does not tell places.
    """
    if maxminddb is None:
        raise SettingsError("GEOIP needs the reader of such files; pip install 'linkrouter[geo]'")
    with NamedTemporaryFile(prefix="linkrouter-geo-") as copy:
        with path.open("rb") as original:
            shutil.copyfileobj(original, copy)
        copy.flush()
        try:
            reader = maxminddb.open_database(copy.name)
        except maxminddb.InvalidDatabaseError as exc:
            raise ValueError("not a file in MaxMind's format") from exc
    try:
        is_of_places = any(read_record(record).country != "unknown" for _, record in islice(reader, PROBED_RECORDS))
    except maxminddb.InvalidDatabaseError as exc:
        reader.close()
        raise ValueError("damaged") from exc
    if not is_of_places:
        reader.close()
        raise ValueError("it names no country")
    return GeoFile(reader)


def read_record(record: object) -> Place:
    """Read a record of either schema: nested as GeoLite2, GeoIP2 and DB-IP have it, or flat as IPinfo has it."""
    if not isinstance(record, dict):
        return Place()
    country = record.get("country")
    if isinstance(country, dict) or "registered_country" in record:
        code = _text(country, "iso_code") or _text(record.get("registered_country"), "iso_code")
        subdivisions = record.get("subdivisions")
        first = subdivisions[0] if isinstance(subdivisions, list) and subdivisions else None
        region, city = _name(first) or _text(first, "iso_code"), _name(record.get("city"))
    else:
        code = _text(record, "country_code") or _text(record, "country")
        region = _text(record, "region") or _text(record, "state1")
        city = _text(record, "city")
    is_code = len(code) == 2 and code.isalpha()
    return Place(code.upper() if is_code else "unknown", region or "unknown", city or "unknown")


def _text(value: object, key: str) -> str:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def _name(value: object) -> str:
    return _text(value.get("names"), "en") if isinstance(value, dict) else ""
