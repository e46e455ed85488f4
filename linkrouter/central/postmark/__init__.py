"""Postmark's read API over central: an existing client is pointed here and works."""
