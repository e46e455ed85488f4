"""The app, for `INSTALLED_APPS`: it brings the checks and the command, and has no models."""

from django.apps import AppConfig
from django.core.checks import register

from linkrouter.integrations.django.checks import check_settings

__all__ = ["LinkrouterConfig"]


class LinkrouterConfig(AppConfig):
    """Registers the checks."""

    name = "linkrouter.integrations.django"
    label = "linkrouter"
    verbose_name = "linkrouter"

    def ready(self) -> None:
        """Have `manage.py check`, and what begins with it, look at the settings."""
        register(check_settings, "linkrouter")
