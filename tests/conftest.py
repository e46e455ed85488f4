"""What every test may ask for."""

from pathlib import Path

import pytest
from hypothesis import settings
from processes import make_home

settings.register_profile("shared machine", deadline=None)  # how long an example takes is the neighbours' doing, too
settings.load_profile("shared machine")

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"


def pytest_addoption(parser):
    parser.addoption("--faults", action="store_true", help="run the long fault injections too")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--faults"):
        return
    skip = pytest.mark.skip(reason="long; 'make test-faults' runs it")
    for item in items:
        if item.get_closest_marker("faults"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real mail and conformance data, where there is one."""
    if not CORPUS.is_dir():
        pytest.skip("the corpus of real mail is not beside this checkout")
    return CORPUS


@pytest.fixture
def home(tmp_path):
    """A folder with keys and tokens; everything started in it ends with the test."""
    made = make_home(tmp_path)
    yield made
    made.end()
