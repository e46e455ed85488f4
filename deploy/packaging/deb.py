#!/usr/bin/env python3
"""Make the Debian package, for the Debian this runs on: `deb.py` prints its path. Run it with Debian's own Python.

Promise: it installs without a network, brings every dependency in its own virtual environment, and changes nothing
that runs: `linkrouter-install` makes each service a program of its own out of it.
"""

import gzip
import hashlib
import os
import re
import shutil
import sys
import time
from email.utils import formatdate
from pathlib import Path

from wheels import BUILD, ROOT, collect_wheels, project_version, run

DONE = ROOT / "build" / "deb"
HOME = Path("usr/lib/linkrouter")
COLOURS = ("blue-1", "blue-2", "green-1", "green-2")
CONFFILES = [f"etc/linkrouter/{name}.env" for name in (*COLOURS, "central")]
MAINTAINER = "{} <{}>".format(
    os.environ.get("DEBFULLNAME", "linkrouter packagers"), os.environ.get("DEBEMAIL", "packagers@linkrouter.invalid")
)
CONTROL = """\
Package: linkrouter
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: {depends}
Recommends: haproxy (>= 2.6), openssl, procps
Suggests: certbot, curl, postgresql
Section: mail
Priority: optional
Description: self-hosted link tracking for e-mail
 Signed links, redirects without a database, and no click lost. This package
 holds the routers, central and the relay, with all they need in a virtual
 environment of their own. It starts nothing: linkrouter-install sets up
 routers or central, and after an upgrade each service runs as before until
 linkrouter-deploy switches to the new version.
"""
COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: linkrouter

Files: *
Copyright: 2026 the linkrouter contributors
License: Apache-2.0
 On Debian systems the whole text is in /usr/share/common-licenses/Apache-2.0.
 What the virtual environment holds has its licence beside it, in the
 *.dist-info folders of /usr/lib/linkrouter/program.
"""
# What lintian would find in a virtual environment; each is meant.
LINTIAN = """\
linkrouter: absolute-symlink-in-top-level-folder
linkrouter: embedded-library
linkrouter: extra-license-file
linkrouter: hardening-no-fortify-functions
linkrouter: library-not-linked-against-libc
linkrouter: package-contains-vcs-control-file
linkrouter: package-installs-python-bytecode
linkrouter: package-installs-python-pycache-dir
linkrouter: shared-library-lacks-prerequisites
linkrouter: unstripped-binary-or-object
linkrouter: unusual-interpreter
linkrouter: wrong-path-for-interpreter
"""


def make_program(tree: Path) -> None:
    """Put the virtual environment into *tree*, as if it had been made where it is going to be."""
    wheels, program = collect_wheels(Path(sys.executable)), tree / HOME / "program"
    run(sys.executable, "-m", "venv", "--without-pip", program)
    pip = (BUILD / "tools" / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
    options = ("--no-index", "--no-deps", "--require-hashes", "--no-compile", "-qq", "--find-links", wheels)
    run(*pip, "--python", program / "bin" / "python3", "install", *options, "-r", wheels / "pins.txt")
    for path in (program / "bin").iterdir():
        if path.name not in ("python3", "linkrouter"):
            path.unlink()
    (program / "bin" / "python3").unlink()
    (program / "bin" / "python3").symlink_to("/usr/bin/python3")
    script = program / "bin" / "linkrouter"
    script.write_text(re.sub(r"\A#!.*", f"#!/{HOME}/program/bin/python3", script.read_text()))
    (program / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    for path in program.rglob("*.py"):
        path.chmod(0o644)
    shutil.rmtree(program / "include", ignore_errors=True)
    (program / "lib64").unlink(missing_ok=True)
    # No service may write here, so the bytecode comes along; it holds whatever the times of the files say.
    mode = ("--invalidation-mode", "unchecked-hash", "-s", tree, "-p", "/")
    run(sys.executable, "-m", "compileall", "-q", *mode, program / "lib")


def make_files(tree: Path) -> None:
    """Put everything else into *tree*: what install.sh needs, commands, users, settings, pages, documents."""
    for folder in ("deploy", "haproxy"):
        shutil.copytree(ROOT / folder, tree / HOME / folder, ignore=shutil.ignore_patterns("__pycache__", "packaging"))
    (tree / "usr/bin").mkdir()
    (tree / "usr/sbin").mkdir()
    (tree / "usr/bin/linkrouter").symlink_to("../lib/linkrouter/program/bin/linkrouter")
    (tree / "usr/sbin/linkrouter-deploy").symlink_to("../lib/linkrouter/deploy/linkrouter-deploy")
    (tree / "usr/sbin/linkrouter-install").symlink_to("../lib/linkrouter/deploy/install.sh")
    for kind in ("sysusers", "tmpfiles"):
        _copy(ROOT / "deploy" / f"linkrouter.{kind}", tree / f"usr/lib/{kind}.d/linkrouter.conf")
    for path in CONFFILES:
        _copy(ROOT / "deploy" / "env" / Path(path).name, tree / path)
    python = BUILD / "tools" / "bin" / "python"
    site = next((tree / HOME / "program").glob("lib/python3*/site-packages"))
    environ = os.environ | {"PYTHONPATH": str(site), "SOURCE_DATE_EPOCH": str(_moment())}
    run(python, ROOT / "deploy" / "packaging" / "manual.py", tree / "usr/share", env=environ)
    for page in (tree / "usr/share/man").rglob("*.[18]"):
        _compress(page)
    _make_documents(tree)


def _make_documents(tree: Path) -> None:
    doc = tree / "usr/share/doc/linkrouter"
    for name in ("CHANGELOG.md", "README.md"):
        _copy(ROOT / name, doc / name)
    _copy(BUILD / "wheels" / "pins.txt", doc / "pins.txt")
    (doc / "copyright").write_text(COPYRIGHT)
    head = f"linkrouter ({project_version()}) stable; urgency=medium"
    entry = f"{head}\n\n  * See CHANGELOG.md.\n\n -- {MAINTAINER}  {formatdate(_moment())}\n"
    (doc / "changelog").write_text(entry)
    _compress(doc / "changelog")
    overrides = tree / "usr/share/lintian/overrides/linkrouter"
    overrides.parent.mkdir(parents=True)
    overrides.write_text(LINTIAN)


def make_control(tree: Path) -> None:
    """Put the package's own files into *tree*."""
    control = tree / "DEBIAN"
    control.mkdir()
    files = [path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files) // 1024
    major, minor = sys.version_info[:2]
    depends = [
        *(f"python3 (>= {major}.{minor}~)", f"python3 (<< {major}.{minor + 1}~)"),
        *("libc6", "libgcc-s1", "libstdc++6", "systemd | systemd-standalone-sysusers"),
    ]
    (control / "control").write_text(
        CONTROL.format(
            version=project_version(),
            architecture=run("dpkg", "--print-architecture").strip(),
            maintainer=MAINTAINER,
            size=size,
            depends=", ".join(depends),
        )
    )
    (control / "conffiles").write_text("".join(f"/{path}\n" for path in CONFFILES))
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files)  # noqa: S324 - what dpkg --verify reads
    (control / "md5sums").write_text("".join(sums))
    for name in ("postinst", "prerm", "postrm"):
        _copy(ROOT / "deploy" / "packaging" / name, control / name, 0o755)


def _copy(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _compress(path: Path) -> None:
    with open(f"{path}.gz", "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=_moment()) as target:
        target.write(path.read_bytes())
    path.unlink()


def _moment() -> int:
    """Give when this is, in s since 1970: SOURCE_DATE_EPOCH when it is set, so that two builds are alike."""
    return int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))


def main() -> None:
    """Make the package."""
    os.umask(0o022)
    tree = BUILD / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    make_program(tree)
    make_files(tree)
    run("chmod", "-R", "u+rwX,go+rX,go-w", tree)
    make_control(tree)
    shutil.rmtree(DONE, ignore_errors=True)  # one package alone: this is what an image is built from
    DONE.mkdir()
    built = run("dpkg-deb", "--root-owner-group", "-Zzstd", "--build", tree, DONE)
    print(re.search(r"in '(.+)'", built)[1])  # type: ignore[index]


if __name__ == "__main__":
    main()
