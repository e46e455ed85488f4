"""How a connection to PostgreSQL is made, from its URL."""

import ssl
from typing import Any

from linkrouter.dial.service_url import ServiceUrl
from linkrouter.dial.trust import trusting_context
from linkrouter.errors import SettingsError

__all__ = ["postgres_arguments"]

SSLMODES = ("disable", "prefer", "require", "verify-full")


def postgres_arguments(address: ServiceUrl) -> dict[str, Any]:
    """Give what asyncpg connects with; the option `sslmode` is libpq's, and `ca_file` says whom `verify-full` trusts.

    Raises:
        SettingsError: *address* names no database, has another `sslmode`, or a `ca_file` without a certificate.
    """
    if len(address.path) != 1:
        raise SettingsError(f"{address.setting}: postgresql: takes /DATABASE behind the host")
    sslmode = address.options.get("sslmode", "prefer")
    if sslmode not in SSLMODES:
        raise SettingsError(f"{address.setting}: sslmode is one of {', '.join(SSLMODES)}")
    trust: ssl.SSLContext | str = sslmode
    if sslmode == "verify-full":
        try:
            trust = trusting_context(address.options.get("ca_file"))
        except OSError as exc:
            raise SettingsError(f"{address.setting}: ca_file holds no certificate") from exc
    host, port = address.hosts[0]
    return {
        "host": host,
        "port": port,
        "database": address.path[0],
        "user": address.user,
        "password": lambda: address.password() or "",
        "ssl": trust,
    }
