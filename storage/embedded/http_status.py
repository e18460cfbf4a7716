"""HTTP status for a ClickHouse error code, as ClickHouse's own HTTP handler answers."""

from __future__ import annotations

_BY_STATUS: dict[int, tuple[int, ...]] = {
    # Syntax errors, values that do not parse, types that do not match.
    400: (6, 26, 27, 32, 33, 36, 38, 41, 42, 43, 53, 62, 69, 70, 72, 117, 130, 131, 321, 349, 386, 431, 441, 457, 467),
    401: (194,),
    403: (164, 192, 193, 291, 497, 516),
    # Unknown column, function, type, engine, table, format, database, setting.
    404: (16, 46, 47, 50, 56, 60, 73, 81, 115),
    408: (159,),
    411: (381,),
    413: (307,),
    501: (48,),
    503: (76, 202, 209, 210),
}
_STATUS = {code: status for status, codes in _BY_STATUS.items() for code in codes}


def http_status(code: int) -> int:
    """Status for an error `code`; 500 for those ClickHouse has no status of their own for."""
    return _STATUS.get(code, 500)
