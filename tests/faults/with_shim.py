"""The command line on a disk that fails when told to: each line written to the pipe `arm` is a call of `shim_arm`.

When the fault has struck for the first time, there is a file `struck`.
"""

import ctypes
import threading
import time
from pathlib import Path

from linkrouter.cli import main


def listen(shim: ctypes.CDLL) -> None:
    """Arm the shim by the lines that come, for ever."""
    while True:
        fault, *numbers = Path("arm").read_text().split()
        shim.shim_arm(fault.encode(), *map(ctypes.c_long, map(int, numbers)))
        threading.Thread(target=tell, args=(shim, int(numbers[0])), daemon=True).start()


def tell(shim: ctypes.CDLL, nth: int) -> None:
    while shim.shim_calls() < nth:
        time.sleep(0.002)
    Path("struck").touch()


threading.Thread(target=listen, args=(ctypes.CDLL(None),), daemon=True).start()
main()
