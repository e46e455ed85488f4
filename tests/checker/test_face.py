"""What `linkrouter.checker` offers, and what it costs to have it."""

import subprocess
import sys

import pytest

import linkrouter.checker


def test_every_name_of_the_package_can_be_imported():
    for name in linkrouter.checker.__all__:
        assert getattr(linkrouter.checker, name).__name__ == name


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = linkrouter.checker.nothing


def test_the_names_can_be_had_without_the_extra():
    script = (
        "import sys\n"
        "for name in ('aiodns', 'h2', 'publicsuffixlist', 'rich', 'pycares'): sys.modules[name] = None\n"
        "from linkrouter.checker import Checker, Decision, extract, gate_for_encoder, open_checker\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
