"""The check over HTTP: checks that run for many authors, and the page."""
