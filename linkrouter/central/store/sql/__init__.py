"""The central store over a SQL database: statements, and what is made of their rows, once for all engines."""
