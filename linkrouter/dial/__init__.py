"""Connections to judged addresses only: what the check and the webhooks may reach."""
