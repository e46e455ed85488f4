"""What systemd tells a service in its environment: where it wants to hear from it, and how often (sd_notify(3))."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ServiceManager", "environment_of_children", "find_service_manager", "runtime_directory"]


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Where the service manager listens; `watchdog_s` is how long it waits for a sign of life, None for ever."""

    address: str  # a leading NUL is Linux's abstract namespace
    watchdog_s: float | None


def find_service_manager(environ: Mapping[str, str] = os.environ) -> ServiceManager | None:
    """Give the service manager that started this process and wants to hear from it; None when there is none."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())  # and not meant for a parent of this one
    watchdog_s = int(microseconds) / 1e6 if mine and microseconds.isdecimal() and int(microseconds) else None
    return ServiceManager("\0" + address[1:] if address.startswith("@") else address, watchdog_s)


def environment_of_children(address: str, watchdog_s: float | None) -> dict[str, str]:
    """Give the environment for processes whose signs of life are to come to *address*, each *watchdog_s* at least."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("WATCHDOG_USEC", "WATCHDOG_PID")}
    watchdog = {} if watchdog_s is None else {"WATCHDOG_USEC": str(int(watchdog_s * 1e6))}
    return inherited | {"NOTIFY_SOCKET": address} | watchdog


def runtime_directory(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Give the first directory that systemd made for as long as this unit runs, if it made one."""
    name = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(name) if name else None
