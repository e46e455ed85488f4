"""The HTTP kit: routes, checked input, problem documents, tokens, streams, static files, OpenAPI.

Promise: it knows no business; a route's answer takes the request alone.
"""
