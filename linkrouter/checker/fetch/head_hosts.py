"""Hosts that answer `HEAD` as they answer `GET`, by their own documentation (`tables/head-hosts.toml`).

Promise: it saves a second request for files alone. Whether a page leads somewhere else by itself stands in its body, so
a page is always looked at.
"""

import tomllib
from functools import cache
from importlib.resources import files

from linkrouter.checker.fetch.classify import HttpAnswer
from linkrouter.checker.fetch.refresh import is_html

__all__ = ["HeadHosts", "is_true_to_head", "load_head_hosts"]

HeadHosts = frozenset[str]  # in lower case; a name covers its subdomains


@cache
def load_head_hosts() -> HeadHosts:
    """Give the table."""
    text = files(__package__).joinpath("tables/head-hosts.toml").read_text("utf-8")
    return frozenset(row["name"] for row in tomllib.loads(text)["host"])


def is_true_to_head(table: HeadHosts, host: str, answer: HttpAnswer) -> bool:
    """Whether the *answer* of *host* to `HEAD` needs no second opinion."""
    labels = host.split(".")
    return not is_html(answer) and any(".".join(labels[number:]) in table for number in range(len(labels)))
