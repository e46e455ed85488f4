"""A fresh Debian of one's own: debootstrap's smallest one, booted with systemd in a network that has loopback alone.

The base is made once, in build/debian, with what our package asks for in apt's cache; a machine is a layer over it.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from processes import wait_until

ROOT = Path(__file__).parents[2]
BASE = ROOT / "build" / "debian" / "base"
SUITE = "bookworm"
NEEDED = ["curl", "haproxy", "openssl", "procps", "python3", "python3-venv"]
ENVIRON = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": "/root",
}


def why_no_machine() -> str | None:
    """Say why no machine can be booted here; None when one can."""
    for program, package in (("debootstrap", "debootstrap"), ("systemd-nspawn", "systemd-container")):
        if shutil.which(program) is None:
            return f"{program} is not installed; run: apt-get install {package}"
    return None if os.geteuid() == 0 else "booting a machine needs root"


def make_base() -> None:
    """Make the base unless it is there."""
    if BASE.exists():
        return
    partial = BASE.with_name("partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    include = "--include=ca-certificates,dbus,systemd,systemd-sysv"
    subprocess.run(["debootstrap", "--variant=minbase", include, SUITE, partial], check=True, capture_output=True)
    download = f"apt-get update -qq && apt-get install -y -qq --download-only {' '.join(NEEDED)}"
    subprocess.run(["chroot", partial, "sh", "-c", download], check=True, capture_output=True)
    (partial / "etc/dpkg/dpkg.cfg.d/quick").write_text("force-unsafe-io\n")  # it is thrown away after all
    partial.rename(BASE)


def make_package(folder: Path, version: str) -> Path:
    """Make the package of this checkout as another *version*, in *folder*."""
    packaging, copy = ROOT / "build" / "packaging", folder / version
    ours = ("linkrouter", "deploy", "haproxy", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")
    for name in ours:
        copying = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy.mkdir(exist_ok=True)
        copying(ROOT / name, copy / name)
    project = (ROOT / "pyproject.toml").read_text().replace('version = "0.1.0"', f'version = "{version}"')
    (copy / "pyproject.toml").write_text(project)
    (copy / "build" / "packaging").mkdir(parents=True)
    shutil.copytree(packaging / "wheels", copy / "build" / "packaging" / "wheels")
    (copy / "build" / "packaging" / "tools").symlink_to(packaging / "tools")
    pins = (packaging / "pins.txt").read_text().splitlines(keepends=True)
    digest = hashlib.sha256(project.encode()).hexdigest()  # another version alone needs no other dependencies
    pins[0] = re.sub("[0-9a-f]{64}", digest, pins[0])
    (copy / "build" / "packaging" / "pins.txt").write_text("".join(pins))
    made = subprocess.run(
        ["/usr/bin/python3", copy / "deploy" / "packaging" / "deb.py"], check=True, stdout=subprocess.PIPE, text=True
    )
    return Path(made.stdout.strip())


def make_bundle() -> Path:
    """Make the bundle of this checkout."""
    script = ROOT / "deploy" / "packaging" / "bundle.py"
    made = subprocess.run(["/usr/bin/python3", script], check=True, stdout=subprocess.PIPE, text=True)
    return Path(made.stdout.strip())


class DebianMachine:
    """One machine in *home*; `boot` it, `run` commands in it, `end` it."""

    def __init__(self, home: Path, name: str) -> None:
        self.name = name
        self._home = home
        self.pid: int | None = None
        self.root = home / "root"

    def boot(self) -> None:
        """Return when systemd says that everything runs."""
        for folder in ("upper", "work", "root"):
            (self._home / folder).mkdir()
        layers = f"lowerdir={BASE},upperdir={self._home}/upper,workdir={self._home}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], check=True)
        options = ("--boot", "--quiet", "--keep-unit", "--register=no", "--private-network", "-M", self.name)
        with open(self._home / "console", "ab") as console:
            self._nspawn = subprocess.Popen(
                ["systemd-nspawn", *options, "-D", self.root], stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
        wait_until(lambda: self._find_systemd() is not None)
        self.pid = self._find_systemd()
        wait_until(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() == "running", 60)
        subprocess.run(["ip", "netns", "attach", self.name, str(self.pid)], check=True)

    def _find_systemd(self) -> int | None:
        """Give the machine's first process; for a moment nspawn has another child."""
        for pid in Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split():
            if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                return int(pid)
        return None

    def run(self, *command: str, check: bool = True, **options) -> subprocess.CompletedProcess:
        """Run a command in the machine; its words are shown when it fails."""
        inside = ["nsenter", "-t", str(self.pid), "-a", "--", "env", "-i", *(f"{k}={v}" for k, v in ENVIRON.items())]
        done = subprocess.run(
            [*inside, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, **options
        )
        if check and done.returncode:
            print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
            done.check_returncode()
        return done

    def is_active(self, unit: str) -> bool:
        return self.run("systemctl", "is-active", unit, check=False).returncode == 0

    def end(self) -> None:
        """Switch it off, and let nothing of it stay mounted."""
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)  # all else in it ends with its first process
        self._nspawn.kill()
        self._nspawn.wait(30)
        subprocess.run(["umount", "-l", self.root], check=True)
