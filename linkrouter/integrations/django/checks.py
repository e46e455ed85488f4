"""What `manage.py check` says of the settings.

Promise: nothing is sent and nobody is asked; each finding names the setting and the cure.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from linkrouter.integrations.django.backend import EmailBackend

__all__ = ["check_settings", "find_mailers"]

PATH = "linkrouter.integrations.django.EmailBackend"
_DEEPEST = 20


def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """Check every mailer that tracks links."""
    mailers = find_mailers()
    found = [finding for name, options in mailers.items() for finding in _check_mailer(name, options)]
    if mailers:
        return found
    hint = f"Set EMAIL_BACKEND, or BACKEND of a mailer in MAILERS, to {PATH!r}; docs/django.md says where for queues."
    return [checks.Warning("No mail is tracked: no setting names the e-mail backend.", hint=hint, id="linkrouter.W001")]


def find_mailers() -> dict[str, dict[str, Any]]:
    """Give the options of every mailer that tracks, by the setting that names it."""
    mailers: dict[str, Any] = getattr(settings, "MAILERS", {})
    found = {
        f"MAILERS[{alias!r}]": {**mailer.get("OPTIONS", {}), "alias": alias}
        for alias, mailer in mailers.items()
        if _is_ours(mailer.get("BACKEND"))
    }
    named = {"EMAIL_BACKEND": None if mailers else settings.EMAIL_BACKEND}
    named["CELERY_EMAIL_BACKEND"] = getattr(settings, "CELERY_EMAIL_BACKEND", None)
    for alias, backend in getattr(settings, "POST_OFFICE", {}).get("BACKENDS", {}).items():
        named[f"POST_OFFICE['BACKENDS'][{alias!r}]"] = backend
    return found | {name: {} for name, path in named.items() if _is_ours(path)}


def _is_ours(path: object) -> bool:
    try:
        backend = import_string(path) if isinstance(path, str) else path
    except ImportError:
        return False  # who uses it says so
    return isinstance(backend, type) and issubclass(backend, EmailBackend)


def _check_mailer(name: str, options: dict[str, Any]) -> Iterator[checks.CheckMessage]:
    try:
        backend = EmailBackend(**options)
        _ = backend.inner
    except ImproperlyConfigured as exc:
        yield checks.Error(f"{name}: {exc}", hint="docs/django.md has all settings.", id="linkrouter.E001")
        return
    except Exception as exc:  # of the wrapped backend, whose words may hold its secrets
        yield checks.Error(
            f"{name}: the backend that sends cannot be made ({type(exc).__name__}).", id="linkrouter.E002"
        )
        return
    spool = backend.options.spool
    if backend.reporter is not None and spool is not None and not _can_be_written(spool):
        hint = "Make the folder, for the user that sends; or reports wait in memory and end with the process."
        yield checks.Warning(f"{name}: LINKROUTER['SPOOL'] cannot be written.", hint=hint, id="linkrouter.W002")
    if backend.reporter is None:
        hint = "Set CENTRAL_URL and CENTRAL_TOKEN_FILE; or central knows clicks and not what they are on."
        yield checks.Warning(f"{name}: central is not told of mails.", hint=hint, id="linkrouter.W003")


def _can_be_written(folder: Path) -> bool:
    """Say whether *folder* can be written, or made; it is not made."""
    nearest = next((path for path in (folder, *folder.absolute().parents)[:_DEEPEST] if path.exists()), folder)
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
