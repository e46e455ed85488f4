"""Which addresses belong to a cloud or a relay."""

import pytest

from linkrouter.errors import SettingsError
from linkrouter.insight import Networks


def test_reads_published_lists_of_ranges(tmp_path):
    clouds, relays = tmp_path / "clouds.txt", tmp_path / "egress-ip-ranges.csv"
    clouds.write_text("# clouds\n198.51.100.0/24\n198.51.101.0/24\n2001:db8::/32 # a comment\n")
    relays.write_text("198.51.100.128/31,US,US-CA,San Jose,\n")

    networks = Networks.load([clouds], [relays])

    assert networks.kind_of("198.51.101.7") == networks.kind_of("::ffff:198.51.100.7") == "cloud"
    assert networks.kind_of("2001:db8::/48") == "cloud"
    assert networks.kind_of("198.51.100.129") == "relay"
    assert networks.kind_of("203.0.113.1") == networks.kind_of(None) == networks.kind_of("junk") == "other"


def test_a_bad_line_is_named(tmp_path):
    path = tmp_path / "clouds.txt"
    path.write_text("198.51.100.0/24\nno range\n")

    with pytest.raises(SettingsError, match="line 2: not a CIDR"):
        Networks.load([path])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"'gone\.txt' cannot be read"):
        Networks.load([], [tmp_path / "gone.txt"])
