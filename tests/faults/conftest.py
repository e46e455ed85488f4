"""Scenes for scenarios, and the table of what became of them."""

import pytest
from faults.scene import Scene

pytest.register_assert_rewrite("faults.invariants")  # before anything imports it: a broken invariant shows its values
ROWS = pytest.StashKey[list]()


@pytest.fixture
def scene(home):
    """A home in which nothing runs yet; what is started in it ends with the test."""
    made = Scene(home)
    yield made
    if made.load is not None:
        made.load.stop()


@pytest.fixture
def report(request, scene):
    """Hold the scene to the invariants and put its row into the table: what `check` takes, without the scene."""
    from faults.invariants import check

    def write(fault, injected, times=1, **expected):
        row = check(scene, fault, injected, times, measured=request.config.getoption("--faults"), **expected)
        request.config.stash.setdefault(ROWS, []).append(row)
        return row

    return write


def pytest_terminal_summary(terminalreporter, config):
    from faults.invariants import to_markdown

    rows = config.stash.get(ROWS, [])
    if rows and config.getoption("--faults"):
        terminalreporter.section("faults")
        terminalreporter.write_line(to_markdown(rows))
