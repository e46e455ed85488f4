"""Settings: one frozen object per process, read once, from one place.

Promise: nothing else in the package reads the environment.
"""

from linkrouter.settings.central import DEFAULT_ADMIN, CentralSettings, DatabaseSettings, InsightSettings
from linkrouter.settings.check import CheckCommandSettings, CheckSettings
from linkrouter.settings.fields import REPUTATION_SOURCES, Address, listen_error
from linkrouter.settings.journal import is_journal, wants_colour
from linkrouter.settings.reading import PREFIX, Settings, default_router_id, find_upwards, read_settings
from linkrouter.settings.router import RouterSettings
from linkrouter.settings.secrets import credentials_directory, read_secret
from linkrouter.settings.sending import EncoderSettings, RelaySettings, SenderSettings
from linkrouter.settings.service_manager import (
    ServiceManager,
    environment_of_children,
    find_service_manager,
    runtime_directory,
)
from linkrouter.settings.token_files import add_token_line, remove_token_lines
from linkrouter.settings.tokens import TokenLine, read_tokens

__all__ = [
    "DEFAULT_ADMIN",
    "PREFIX",
    "REPUTATION_SOURCES",
    "Address",
    "CentralSettings",
    "CheckCommandSettings",
    "CheckSettings",
    "DatabaseSettings",
    "EncoderSettings",
    "InsightSettings",
    "RelaySettings",
    "RouterSettings",
    "SenderSettings",
    "ServiceManager",
    "Settings",
    "TokenLine",
    "add_token_line",
    "credentials_directory",
    "default_router_id",
    "environment_of_children",
    "find_service_manager",
    "find_upwards",
    "is_journal",
    "listen_error",
    "read_secret",
    "read_settings",
    "read_tokens",
    "remove_token_lines",
    "runtime_directory",
    "wants_colour",
]
