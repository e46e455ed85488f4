"""Watching what was sent: the destinations of recent messages are looked at again, and what changes is an event."""
