"""Networks of their own on this machine, and what is done inside one."""

import ctypes
import os
import shutil
import subprocess
import threading

CLONE_NEWNET = 0x40000000


def why_no_networks():
    """Say why no network can be made here; None when one can."""
    if shutil.which("ip") is None:
        return "ip is not installed; run: apt-get install iproute2"
    return None if os.geteuid() == 0 else "making network namespaces needs root"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def run_inside(namespace, function):
    """Run *function* in a thread whose sockets are made in *namespace*, and give what it gives."""
    outcome = []

    def enter_and_run():
        with open(f"/run/netns/{namespace}") as network:
            if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), CLONE_NEWNET):
                outcome.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            outcome.append(function())
        except BaseException as exc:
            outcome.append(exc)

    thread = threading.Thread(target=enter_and_run)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
