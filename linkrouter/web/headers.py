"""The headers that every answer has."""

__all__ = ["SAFE_HEADERS"]

SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "linkrouter",
    "X-Content-Type-Options": "nosniff",
}
