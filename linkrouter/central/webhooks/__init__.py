"""Webhooks: events go to endpoints as Standard Webhooks 1.0 has it, from an outbox in the store."""
