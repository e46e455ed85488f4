"""Settings: where they come from, which wins, and what is said when one is wrong."""

import ipaddress
import re
from pathlib import Path

import pytest

from linkrouter.errors import SettingsError
from linkrouter.settings import (
    Address,
    CentralSettings,
    CheckSettings,
    RouterSettings,
    TokenLine,
    read_secret,
    read_settings,
    read_tokens,
)

KEYS = {"keys": "keys.json"}


def router(options=None, environ=None, config_file=None):
    return read_settings(RouterSettings, KEYS | (options or {}), environ or {}, config_file)


def test_defaults_are_the_documented_ones():
    settings = router()

    assert settings.listen == Address("127.0.0.1", 8080)
    assert settings.click_store == "sqlite:///spool"
    assert settings.trusted_proxies == (ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("::1/128"))
    assert (settings.workers, settings.respect_opt_out, settings.ingest_url) == (1, True, "")


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('listen = "127.0.0.1:1"\nadmin_listen = "127.0.0.1:2"\nworkers = 3\nrespect_opt_out = false\n')
    environ = {"LINKROUTER_LISTEN": "127.0.0.1:4", "LINKROUTER_ADMIN_LISTEN": "127.0.0.1:5"}

    settings = router({"listen": "127.0.0.1:6"}, environ, file)

    ports = (settings.listen.port, settings.admin_listen.port)
    assert (*ports, settings.workers, settings.respect_opt_out) == (6, 5, 3, False)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("listen", "[::1]:80", Address("::1", 80)),
        ("listen", "router.internal:0", Address("router.internal", 0)),
        ("spool_max_bytes", "2G", 2 * 1024**3),
        ("queue_max_bytes", "512k", 512 * 1024),
        ("queue_max_bytes", "100", 100),
        (
            "trusted_proxies",
            "10.0.0.0/8, fd00::/8",
            (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")),
        ),
        ("trusted_proxies", ",", ()),
        ("direct_answers", "OFF", False),
        ("ingest_url", "https://central.example.com/base", "https://central.example.com/base"),
        ("ingest_url", "", ""),
        ("ingest_token_file", "", None),
        ("ingest_token_file", "t", Path("t")),
        ("router_id", "ams-blue-1", "ams-blue-1"),
    ],
)
def test_reads_every_kind_of_value(name, text, value):
    assert getattr(router({name: text}), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("listen", "8080"),
        ("listen", "127.0.0.1:65536"),
        ("listen", "::1:80"),
        ("listen", "a b:80"),
        ("workers", "65"),
        ("workers", "-1"),
        ("workers", "1.5"),
        ("queue_max_bytes", "1X"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("direct_answers", "maybe"),
        ("ingest_url", "https://user:secret@central.example.com"),
        ("ingest_url", "https://central.example.com/?token=secret"),
        ("router_id", "two words"),
        ("drain_ms", "9000"),
    ],
)
def test_names_what_is_malformed_and_does_not_quote_it(name, text):
    with pytest.raises(SettingsError) as raised:
        router({name: text})

    assert str(raised.value).startswith(name.upper())
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_setting_says_how_to_give_it():
    with pytest.raises(SettingsError, match=r"KEYS is not set; give --keys or LINKROUTER_KEYS"):
        read_settings(RouterSettings, {}, {})
    with pytest.raises(SettingsError, match=r"--ingest-token-file"):
        read_settings(CentralSettings, {}, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('lisen = "x"', "'lisen'"),
        ("listen = [", "TOML"),
        ("listen = [1]", "listen"),
        ("[router]\nlisten = 'x'", "'router'"),
        ('spool_max_byte = "4G"', r"'spool_max_byte'; did you mean spool_max_bytes\?"),
        ("# gr\u00fc\u00dfe".encode("latin-1"), "TOML"),
        ("workers = " + "9" * 5000, "TOML"),
        ("workers = 0x" + "f" * 5000, "workers must be"),
        ("workers = " + "[" * 5000 + "]" * 5000, "TOML"),
        ("workers = 1.5", "WORKERS must be a whole number"),
    ],
)
def test_a_config_file_is_read_strictly(tmp_path, content, words):
    file = tmp_path / "c.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(SettingsError, match=words) as raised:
        router(config_file=file)

    assert "\n" not in str(raised.value)


def test_a_config_file_may_hold_a_fraction(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("timeout = 2.5\n")

    assert read_settings(CheckSettings, {}, {}, file).timeout == 2.5


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("LINKROUTER_SPOOL_MAX_BYTE", r"did you mean LINKROUTER_SPOOL_MAX_BYTES\?"),
        ("LINKROUTER_SPOOLMAXBYTES", r"did you mean LINKROUTER_SPOOL_MAX_BYTES\?"),
        ("LINKROUTER_DATABSE", r"did you mean LINKROUTER_DATABASE\?"),
        ("LINKROUTER_", "remove it from the environment"),
        ("LINKROUTER_listen", r"did you mean LINKROUTER_LISTEN\?"),
        ("LINKROUTER_" + "X" * 5000, "remove it from the environment"),
    ],
)
@pytest.mark.parametrize("cls", [RouterSettings, CheckSettings])
def test_a_misspelt_variable_is_refused_with_the_nearest_name(cls, name, cure):
    with pytest.raises(SettingsError, match=cure) as raised:
        read_settings(cls, KEYS, {name: "a secret"})

    assert name[:80] in str(raised.value)
    assert "secret" not in str(raised.value)
    assert len(str(raised.value)) < 250


def test_one_environment_can_serve_every_process():
    environ = {"LINKROUTER_DATABASE": "sqlite:///c.db", "LINKROUTER_WORKERS": "2", "LINKROUTER_REPUTATION": "dbl"}

    assert router(environ=environ).workers == 2
    assert read_settings(CheckSettings, {}, environ).reputation == ("dbl",)


@pytest.mark.parametrize(
    "name",
    [
        "LINKROUTER_SERVICE_HOST",
        "LINKROUTER_SERVICE_PORT",
        "LINKROUTER_ROUTER_SERVICE_PORT_HTTP",
        "LINKROUTER_PORT",
        "LINKROUTER_CENTRAL_PORT_8090_TCP",
        "LINKROUTER_PORT_8080_TCP_ADDR",
        "LINKROUTER_CENTRAL_NAME",
    ],
)
def test_what_kubernetes_and_docker_say_of_a_service_is_no_setting(name):
    assert router(environ={name: "tcp://10.0.0.1:8080"}).workers == 1


def test_the_variables_that_deploy_sets_are_known():
    deploy = Path(__file__).parents[1] / "deploy"
    text = "\n".join(path.read_text() for path in deploy.rglob("*") if path.is_file() and path.suffix != ".pyc")
    names = set(re.findall(r"(?m)(?:^|Environment=|export )(LINKROUTER_[A-Z_]+)=", text))

    assert len(names) >= 8
    read_settings(CheckSettings, {}, dict.fromkeys(names, "x"))


GOOD, OTHER = "t" * 32, "amsterdam-router-one"


@pytest.fixture
def token_file(tmp_path):
    """Give a function that writes a token file."""

    def write(content: str, mode: int = 0o600) -> Path:
        file = tmp_path / "token"
        file.write_text(content)
        file.chmod(mode)
        return file

    return write


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (GOOD, 0o604, "chmod 600"),
        ("", 0o600, "must hold tokens"),
        ("# a comment alone", 0o600, "must hold tokens"),
        ("short", 0o600, "line 1 must begin with a token"),
        (f"{GOOD}\nshort\n", 0o600, "line 2 must begin with a token"),
        ("\u00fc" * 32, 0o600, "cannot be read"),
        (f"TOKEN {OTHER}", 0o600, "line 1 must begin with a token"),
        (f"{GOOD} {OTHER}", 0o600, "line 1 must be TOKEN"),
        (f"{GOOD} # of Amsterdam", 0o600, "line 1 must be TOKEN"),
        (f"\n# x\n{GOOD} scope=admin", 0o600, "line 3 must be TOKEN"),
        (f"{GOOD} tenant=seven", 0o600, "line 1 must be TOKEN"),
        (f"{GOOD} tenant=1 tenant=2", 0o600, "line 1 must be TOKEN"),
        (f"{GOOD} scopes=", 0o600, "line 1 must be TOKEN"),
        (f"{GOOD} scopes=admin, checks", 0o600, "line 1 must be TOKEN"),
        ("scopes=messages:write tenant=1", 0o600, "line 1 must begin with a token"),
        (f"{GOOD}\n{GOOD} tenant=1", 0o600, "line 2 has the token of another line"),
    ],
)
def test_refuses_token_files_without_telling_what_is_in_them(token_file, content, mode, words):
    with pytest.raises(SettingsError, match=words) as raised:
        read_tokens(token_file(content, mode), "INGEST_TOKEN_FILE")

    said = str(raised.value)
    assert said.startswith("INGEST_TOKEN_FILE: ")
    assert GOOD not in said
    assert OTHER not in said


def test_reads_one_token_a_line_with_its_fields_and_no_comment(token_file):
    content = f"# amsterdam-router-november\n{GOOD}\n\n  {OTHER}  tenant=7 scopes=messages:write,checks name=shop-1\n"

    assert read_tokens(token_file(content), "X") == (
        TokenLine(GOOD),
        TokenLine(OTHER, scopes=("messages:write", "checks"), tenant=7, name="shop-1"),
    )


def test_shows_no_token():
    assert GOOD not in repr(TokenLine(GOOD, name="shop"))


def test_reads_the_one_key_of_a_file(token_file):
    assert read_secret(token_file("a-key\n"), "WEBRISK_KEY_FILE") == "a-key"


@pytest.mark.parametrize("content", ["", "two words", "one\ntwo"])
def test_refuses_a_key_file_with_more_or_less_than_a_key(token_file, content):
    with pytest.raises(SettingsError, match=r"WEBRISK_KEY_FILE: .* must hold one key"):
        read_secret(token_file(content), "WEBRISK_KEY_FILE")
