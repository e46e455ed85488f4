"""Reputation: what others know of a host or a URL. Every source answers clean, listed or unknown."""

from linkrouter.checker.reputation.interface import Source

__all__ = ["Source"]
