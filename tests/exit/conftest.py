"""What `linkrouter exit` wrote, and ways to ask each file for a link: as a WSGI server would, and in Node."""

import importlib.util
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from linkrouter.cli.exit import exit as exit_command
from linkrouter.link import Keyring

ASK_WORKER = Path(__file__).with_name("ask_worker.mjs")


@dataclass
class Written:
    """A folder that `linkrouter exit` wrote."""

    path: Path
    output: str
    exit_code: int

    def ask_redirect(self, requests):
        """Give (status, headers, body) of redirect.py for each (method, target), through WSGI with the raw target."""
        module = load(self.path / "redirect.py")
        return [ask_application(module, method, {"RAW_URI": target}) for method, target in requests]

    def ask_worker(self, requests):
        """Give (status, headers, body) of worker.js for each (method, target), in one Node."""
        if shutil.which("node") is None:
            pytest.skip("node is not installed")
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        done = subprocess.run(
            ["node", ASK_WORKER, self.path / "worker.js"], input=lines, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        return [tuple(json.loads(line)) for line in done.stdout.splitlines()]

    def ask(self, file, requests):
        answers = (self.ask_redirect if file == "redirect.py" else self.ask_worker)(requests)
        assert len(answers) == len(requests)
        return answers


def load(path):
    """Import the file at *path*, as a WSGI server does."""
    spec = importlib.util.spec_from_file_location(f"exit_{path.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask_application(module, method, environ):
    """Give (status, headers, body) of one WSGI call; names of headers in lower case, as JavaScript has them."""
    said = []
    body = module.application({"REQUEST_METHOD": method, **environ}, lambda *start: said.extend(start))
    status, headers = said
    return int(status[:3]), {name.lower(): value for name, value in headers}, b"".join(body).decode()


@pytest.fixture
def write_exit(tmp_path):
    """A function that runs `linkrouter exit` for a keyring and rules."""

    def write(ring: Keyring, rules=(), *options, judge=True) -> Written:
        keys, list_file, directory = tmp_path / "keys.json", tmp_path / "list.json", tmp_path / "exit"
        ring.save(keys)
        list_file.write_text(json.dumps({"rules": list(rules), "seq": len(rules)}))
        arguments = [str(directory), "--keys", str(keys), "--takebacks", str(list_file), *options]
        done = CliRunner().invoke(exit_command, arguments)
        if not judge:
            plant_rules(directory, rules)
        return Written(directory, done.output, done.exit_code)

    return write


def plant_rules(directory, rules):
    """Put *rules* where the files read them, genuine or not, as someone who can write there would."""
    (directory / "take-backs.json").write_text(json.dumps(rules))
    worker = directory / "worker.js"
    lines = worker.read_text().split("\n")
    place = next(number for number, line in enumerate(lines) if line.startswith("const RULES = "))
    lines[place] = f"const RULES = {json.dumps(rules)};"
    worker.write_text("\n".join(lines))
