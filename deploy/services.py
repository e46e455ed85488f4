"""The units of this machine, by whatever starts and stops them: systemctl, or a command that is given instead."""

import shlex
import subprocess
from dataclasses import dataclass

from haproxy_socket import Stopped


@dataclass(frozen=True, slots=True)
class Services:
    """Runs *manager* as COMMAND start|stop|restart|reload|is-active UNIT…"""

    manager: str

    def run(self, verb: str, *units: str) -> None:
        """Do *verb* to *units*, all at once.

        Raises:
            Stopped: it did not succeed.
        """
        command, code = self._run(verb, *units)
        if code:
            raise Stopped(
                f"{shlex.join(command)!r} failed; see 'journalctl {' '.join(f'-u {unit}' for unit in units)}'"
            )

    def is_active(self, unit: str) -> bool:
        """Tell whether *unit* runs."""
        return self._run("is-active", unit)[1] == 0

    def _run(self, verb: str, *units: str) -> tuple[list[str], int]:
        command = [*shlex.split(self.manager), verb, *units]
        out = subprocess.DEVNULL if verb == "is-active" else None
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, check=False)  # noqa: S603 - operator's
        except OSError as exc:
            raise Stopped(f"{command[0]!r} cannot be run ({exc.strerror}); give --service-manager") from exc
        return command, done.returncode
