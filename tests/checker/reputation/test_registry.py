"""Which reputation source a name gives."""

import pytest

from linkrouter.checker.reputation.registry import open_source
from linkrouter.errors import SettingsError
from linkrouter.settings import CheckSettings, read_settings


@pytest.mark.parametrize("name", ["surbl", "dbl"])
async def test_a_name_gives_the_source_of_that_name(name):
    source = open_source(name, CheckSettings())

    assert source.name == name
    await source.close()


def test_a_name_that_nobody_registered_is_refused_and_never_another_source(tmp_path):
    key = tmp_path / "key"
    key.write_text("k" * 16)
    key.chmod(0o600)

    with pytest.raises(SettingsError, match="no source goes by 'oracle'; installed are dbl, surbl, webrisk"):
        open_source("oracle", CheckSettings(webrisk_key_file=key))


def test_settings_allow_the_names_that_are_installed_and_no_other():
    assert read_settings(CheckSettings, {"reputation": "dbl,surbl"}, {}).reputation == ("dbl", "surbl")
    with pytest.raises(SettingsError, match="REPUTATION must be names of dbl, surbl, webrisk"):
        read_settings(CheckSettings, {"reputation": "oracle"}, {})
