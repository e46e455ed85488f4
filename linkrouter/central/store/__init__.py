"""Where central keeps what it was told: the protocol, and its engines."""
