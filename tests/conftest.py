"""What every test may ask for."""

import contextlib
import faulthandler
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from processes import make_home

settings.register_profile("shared machine", deadline=None)  # how long an example takes is the neighbours' doing, too
settings.load_profile("shared machine")
os.environ["LINKROUTER_WATCH_DAYS"] = "0"  # messages of the tests lead to the Internet, which central would look at

# Besides what is marked so. The first freeze and kill processes, wait for real time-outs and fill disks: nothing may
# run beside them. The others start processes for nearly every test.
ALONE = ["haproxy", "faults", "clicks/test_faults.py", "bench"]
SLOW = [
    *(
        "central/test_run_central.py",
        "central/test_several_centres.py",
        "clicks/test_brokers.py",
        "exit/test_exit_serving.py",
    ),
    *("checker/api", "checker/test_check_command.py", "cli/test_pipeline.py", "monitoring"),
    *("cli/test_take_backs.py", "cli/test_takeback_command.py", "cli/test_watching.py"),
]
END_S = 60  # from the last test to the end of the process
TAIL = 6000  # characters of what the processes of a failed test have said
CORPUS = Path(__file__).parents[2] / "shared" / "corpus"


def pytest_addoption(parser):
    parser.addoption("--faults", action="store_true", help="run the long fault injections too")
    parser.addoption("--engine", default="sqlite", help="where central's API is tried: sqlite or postgresql")


def pytest_collection_modifyitems(config, items):
    for marker, paths in (("slow", SLOW + ALONE), ("alone", ALONE)):
        for item in items:
            if any(item.path.is_relative_to(Path(__file__).parent / path) for path in paths):
                item.add_marker(marker)
    if config.getoption("--faults"):
        return
    skip = pytest.mark.skip(reason="long; 'make test-faults' runs it")
    for item in items:
        if item.get_closest_marker("faults"):
            item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show with a failure what the processes said that the test had started."""
    report = yield
    if report.failed:
        for name, fixture in getattr(item, "funcargs", {}).items():
            with contextlib.suppress(OSError, AttributeError, TypeError):
                report.sections.append((f"log of {name}", fixture.log()[-TAIL:]))
    return report


@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    """End a run whose tests are over, and say where its threads stand.

    A test that failed may have left a thread that is no daemon, such as that of an open SQLite connection, and Python
    would wait for it for ever.
    """
    faulthandler.dump_traceback_later(END_S, exit=True, file=sys.__stderr__)


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
