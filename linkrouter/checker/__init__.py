"""The pre-send checker.

    mail ── extract ──▶ LinkToCheck ── Checker.check ──▶ LinkReport, as they come ── formats ──▶ JSON, JUnit, lines
                             │               │ fetches and asks, each once, and stores what it learns
                             │               ▼
                             │          LinkStates
                             │               │
                             └── Checker.gate ──▶ Decision: send, wait or block ── gate_for_encoder ──▶ Encoder(gate=…)

`open_checker(settings)` makes a `Checker`. What decides is pure (mail, fetch.classify, lifetimes, gate,
reputation.codes); what touches the network is fetch.client, dial and the reputation sources; what touches the disk is
states. The names below are loaded when they are first used, so that the pure half costs no I/O library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linkrouter.checker.check import Checker
    from linkrouter.checker.compose import open_checker
    from linkrouter.checker.gate import Decision, gate_for_encoder
    from linkrouter.checker.mail.extract import LinkToCheck, extract
    from linkrouter.checker.verdict import LinkReport

__all__ = ["Checker", "Decision", "LinkReport", "LinkToCheck", "extract", "gate_for_encoder", "open_checker"]

_MODULES = {
    "Checker": "check",
    "Decision": "gate",
    "LinkReport": "verdict",
    "LinkToCheck": "mail.extract",
    "extract": "mail.extract",
    "gate_for_encoder": "gate",
    "open_checker": "compose",
}


def __getattr__(name: str) -> Any:
    """Load a public name of the package (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
