"""The dated table of sites that lie to robots, and the user's own."""

import re

import pytest

from linkrouter.checker.fetch.lying_hosts import find_lie, load_lying_hosts
from linkrouter.errors import SettingsError


@pytest.mark.parametrize("host", ["linkedin.com", "www.linkedin.com", "amazon.com", "codepen.io", "a.b.x.com"])
def test_a_name_covers_its_subdomains(host):
    assert find_lie(load_lying_hosts(), host)


@pytest.mark.parametrize(
    "host", ["example.com", "notlinkedin.com", "nottwitter.com", "com", "", "[::1]", "netflix.com"]
)
def test_a_name_covers_no_other(host):
    assert find_lie(load_lying_hosts(), host) is None


def test_every_entry_says_why_and_since_when():
    for host, why in load_lying_hosts().items():
        assert host == host.lower()
        assert re.fullmatch(r".{10,}\(seen \d{4}-\d\d-\d\d\)", why), host


def test_a_user_adds_sites_and_changes_reasons(tmp_path):
    extra = tmp_path / "more.toml"
    extra.write_text('[[host]]\nname = "Shop.Example"\nreason = "hates robots"\nseen = 2026-11-21\n')

    table = load_lying_hosts(extra)

    assert find_lie(table, "www.shop.example") == "hates robots (seen 2026-11-21)"
    assert find_lie(table, "linkedin.com")
    assert find_lie(load_lying_hosts(), "shop.example") is None


@pytest.mark.parametrize(
    "text",
    ["no toml", "", "host = 1", '[[host]]\nname = "x"\n', '[[host]]\nname = 1\nreason = ""\nseen = 2026-11-21\n'],
)
def test_a_file_that_is_no_such_table_is_one_line_with_the_cure(tmp_path, text):
    extra = tmp_path / "more.toml"
    extra.write_text(text)

    with pytest.raises(SettingsError, match=r"LYING_HOSTS: .* is not such a table; it must hold \[\[host\]\] entries"):
        load_lying_hosts(extra)
