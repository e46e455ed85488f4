"""The spool: clicks in SQLite segments on a disk, the click store that a router has by default."""
