"""What an operator is told while something is done; data goes to standard output, this to standard error."""

import sys


def say(text: str) -> None:
    """Tell the operator what is done next."""
    print(text, file=sys.stderr, flush=True)
