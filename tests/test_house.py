"""The conventions of the house, held up by the build: its walls, its names, its words."""

import ast
import importlib
import pkgutil
import re
from dataclasses import fields
from pathlib import Path

import pytest

import linkrouter
from linkrouter.log import EVENTS
from linkrouter.metrics import METRICS
from linkrouter.settings import CentralSettings, CheckCommandSettings, EncoderSettings, RelaySettings, RouterSettings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "linkrouter"
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)
SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 55


def _imported_names() -> dict[str, set[str]]:
    """Give the names that are imported from each module of the package by another."""
    found: dict[str, set[str]] = {}
    for source in SOURCES.values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module in MODULES:
                modules = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
                names = {alias.name for alias in node.names if f"{node.module}.{alias.name}" not in modules}
                found.setdefault(node.module, set()).update(names)
    return found


IMPORTED = _imported_names()
# What `linkrouter exit` writes out is one file on purpose, and shares nothing with the package.
OWN_SOURCES = {path: source for path, source in SOURCES.items() if not path.startswith("linkrouter/exit/")}

# Low to high; a module imports only lower rooms and its own.
LAYERS = [
    {"errors", "log", "metrics", "retry", "units", "exit"},
    {"secretfile"},
    {"settings", "link", "clicks.click", "dial", "insight"},
    {"encoder", "clicks", "web"},
    {"router", "sync", "central", "checker"},
    {"integrations", "doctor"},
    {"processes"},
    {"cli"},
    {"__main__"},
]
ONLY_IN = {
    "aiohttp": ("linkrouter.router", "linkrouter.web"),
    "aiosmtpd": ("linkrouter.integrations",),
    "aiosmtplib": ("linkrouter.integrations",),
    "h2": ("linkrouter.checker.fetch",),
    "h11": ("linkrouter.central.webhooks",),
    "httpx": (
        *("linkrouter.sync", "linkrouter.checker.reputation", "linkrouter.integrations.reporting"),
        *("linkrouter.cli.demo", "linkrouter.cli.takeback"),
    ),
    "aiosqlite": ("linkrouter.clicks", "linkrouter.checker"),
    "click": ("linkrouter.cli",),
    "rich": ("linkrouter.cli",),
    "redis": ("linkrouter.clicks.broker",),
    "asyncpg": ("linkrouter.clicks.broker", "linkrouter.central.store.postgres"),
    "ua_parser": ("linkrouter.insight",),
    "maxminddb": ("linkrouter.insight",),
    "iptocc": ("linkrouter.insight",),
}


def room_of(module: str) -> str | None:
    """Give the room of a module of the package; None for the package itself and what it re-exports."""
    parts = module.split(".")
    if parts[0] != "linkrouter" or len(parts) == 1 or not any(parts[1] in rooms for rooms in LAYERS):
        return None
    return "clicks.click" if parts[1:3] == ["clicks", "click"] else parts[1]


def layer_of(room: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def imports_of(source: str) -> set[str]:
    """Give every module that *source* imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", SOURCES)
def test_a_module_imports_only_lower_rooms_and_its_own(path):
    module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    room = room_of(module)
    if room is None:
        pytest.skip("the package itself re-exports")

    for imported in imports_of(SOURCES[path]):
        other = room_of(imported)
        if other is None or other == room or (room == "clicks" and other == "clicks.click"):
            continue
        assert layer_of(other) < layer_of(room), f"{module} imports {imported}"


def test_what_runs_beside_a_sender_knows_no_server():
    found = {
        imported
        for path, source in SOURCES.items()
        if path.startswith("linkrouter/integrations/")
        for imported in imports_of(source)
        if room_of(imported) in {"router", "sync", "central"}
    }

    assert found == set()


@pytest.mark.parametrize("path", SOURCES)
def test_a_library_is_used_only_where_it_lives(path):
    module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    for imported in imports_of(SOURCES[path]):
        rooms = ONLY_IN.get(imported.partition(".")[0])
        assert rooms is None or module.startswith(rooms), f"{module} imports {imported}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_a_docstring_and_its_public_names(module):
    if module == "linkrouter.__main__":
        pytest.skip("it runs the program")
    loaded = importlib.import_module(module)

    assert loaded.__doc__
    for name in getattr(loaded, "__all__", []):
        assert hasattr(loaded, name), name


def public_names(source: str) -> list[str]:
    """Give the classes, functions and constants that a module defines at its top, without the private ones."""
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in found if not name.startswith("_")]


def test_no_public_name_is_defined_twice():
    places: dict[str, list[str]] = {}
    for path, source in OWN_SOURCES.items():
        for name in public_names(source):
            if "/management/commands/" not in path:  # Django looks for a class Command in each
                places.setdefault(name, []).append(path)

    assert {name: found for name, found in places.items() if len(set(found)) > 1} == {}


@pytest.mark.parametrize("path", OWN_SOURCES)
def test_a_file_and_its_functions_are_short(path):
    source = SOURCES[path]
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES
    }

    assert source.count("\n") <= MAX_FILE_LINES
    assert long == {}


@pytest.mark.parametrize("module", MODULES)
def test_the_public_names_of_a_module_are_sorted_and_hold_what_others_import(module):
    if module == "linkrouter.__main__":
        pytest.skip("it runs the program")
    names = getattr(importlib.import_module(module), "__all__", [])

    assert set(IMPORTED.get(module, ())) <= set(names) | {"__version__"}
    assert len(names) == len(set(names))


def test_every_module_can_be_imported_alone():
    names = {module.name for module in pkgutil.walk_packages(linkrouter.__path__, "linkrouter.")}

    assert names <= set(MODULES)


@pytest.mark.parametrize("path", [path for path in SOURCES if not path.startswith("linkrouter/settings/")])
def test_only_settings_reads_the_environment(path):
    assert not re.search(r"\bos\.environ\b|\bgetenv\b", SOURCES[path])


@pytest.mark.parametrize("path", SOURCES)
def test_no_statement_of_sql_numbers_its_parameters(path):
    # Python 3.14 takes a sequence for plain ones alone.
    assert not re.search(r"(?m)^(?:SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|\s+SELECT)\b.*\?[0-9]", SOURCES[path])


@pytest.mark.parametrize("path", [path for path in SOURCES if not path.startswith("linkrouter/cli/")])
def test_only_the_command_line_prints(path):
    assert not re.search(r"(?<![\w.])print\(|\bclick\.echo\(", SOURCES[path])


def test_every_event_and_metric_is_used_and_named_like_the_others():
    code = "\n".join(
        text for path, text in SOURCES.items() if path not in ("linkrouter/log.py", "linkrouter/metrics/names.py")
    )

    for event in EVENTS:
        assert f'"{event}"' in code, event
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", event)
    for metric in METRICS:
        assert f'"{metric}"' in code, metric
        assert re.fullmatch(r"linkrouter_[a-z_]+", metric)


@pytest.mark.parametrize("cls", [RouterSettings, CentralSettings, CheckCommandSettings, RelaySettings, EncoderSettings])
def test_every_setting_is_on_the_page_of_settings(cls):
    page = (ROOT / "docs" / "settings.md").read_text()

    for setting in fields(cls):
        assert f"`{setting.name.upper()}`" in page, setting.name


def test_no_file_names_a_download_address():
    hosts = re.compile(r"https?://(?:pypi|files\.python|registry\.npm|deb\.debian|github\.com/.+/releases)")

    for path in [*PACKAGE.rglob("*.py"), ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]:
        assert not hosts.search(path.read_text()), path
