"""Django: tracked links in whatever a project sends, with two settings.

    EMAIL_BACKEND = "linkrouter.integrations.django.EmailBackend"
    LINKROUTER = {"BACKEND": …, "BASE_URL": …, "KEYS": …, "CENTRAL_URL": …, "CENTRAL_TOKEN_FILE": …}

From Django 6.1 on it is a mailer of `MAILERS` that names another one as `send_using`. In `INSTALLED_APPS`, it checks
the settings (`manage.py check`) and sends a test mail (`manage.py linkrouter_test`); everything else works without.
"""

from linkrouter.integrations.django.backend import EmailBackend

__all__ = ["EmailBackend"]
