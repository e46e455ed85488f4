"""The engine for where one machine ends: several centres over one PostgreSQL."""
