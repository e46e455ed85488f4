"""Tables as CSV (RFC 4180), a row at a time.

Promise: no cell is run as a formula by a spreadsheet that opens it: one that could be begins with an apostrophe.
"""

import csv
import io
from collections.abc import Sequence

__all__ = ["CSV_TYPE", "csv_line"]

CSV_TYPE = "text/csv"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_line(cells: Sequence[str | int | None]) -> bytes:
    """Write one row in UTF-8, with the line end that the RFC asks for."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([_plain(cell) for cell in cells])
    return out.getvalue().encode("utf-8", "replace")


def _plain(cell: str | int | None) -> str | int:
    if cell is None:
        return ""
    if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS):
        return "'" + cell
    return cell
