"""What may be checked: the one list of content types, for the command, the API and the reader."""

from typing import Literal, get_args

__all__ = ["CONTENT_TYPES", "ContentType"]

ContentType = Literal["html", "text", "message", "urls", "markdown", "mjml", "feed"]
CONTENT_TYPES: tuple[ContentType, ...] = get_args(ContentType)
