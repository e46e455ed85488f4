"""Central: takes clicks from routers and messages from senders, and answers what was clicked."""
