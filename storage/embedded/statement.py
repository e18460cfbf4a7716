"""Where a statement ends and its data begins.

The engine is given statement and data separately, so no value can become SQL. To part them, and to know whether
a result can be streamed, the statement is cut into tokens; its meaning is left to the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from storage.embedded.errors import StatementRefused

# The engine's own limit for the part of a request it parses as SQL.
HEAD_BYTES = 256 * 1024

# These formats have no header or footer around the whole, so that the blocks of a stream can be strung together.
STREAMABLE = frozenset({"native", "tabseparated", "tsv", "csv", "rowbinary", "jsoneachrow", "ndjson", "jsonlines"})

_TOKEN = re.compile(
    rb"(?P<skip>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)"
    rb"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    rb"|(?P<name>`(?:[^`\\]|\\.|``)*`|\"(?:[^\"\\]|\\.|\"\")*\")"
    rb"|(?P<text>'(?:[^'\\]|\\.|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"
    rb"|(?P<number>[0-9][A-Za-z0-9_.]*)"
    rb"|(?P<mark>.)",
    re.DOTALL,
)

_OPEN = frozenset({b"(", b"[", b"{"})
_CLOSE = frozenset({b")", b"]", b"}"})
_READING = frozenset({"SELECT", "WITH", "FROM", "("})
_TELLING = frozenset({"SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS", "CHECK", "KILL"})
# clickhouse-local's way to this machine's files and programs, which a ClickHouse server keeps from its clients.
_LOCAL_FUNCTIONS = frozenset({"FILE", "FILECLUSTER", "FILESYSTEM", "EXECUTABLE", "PYTHON"})
_TABLE_FOLLOWS = frozenset({"FROM", "JOIN", "INTO", "TABLE"})


class Kind(Enum):
    """What a statement does, as far as the transport must know."""

    SELECT = "select"
    TELL = "tell"
    INSERT = "insert"
    OTHER = "other"


@dataclass(frozen=True)
class Statement:
    """A statement, parted from its data.

    Attributes
    ----------
    kind
        INSERT only where data follows; `INSERT … SELECT` is OTHER.
    format
        The FORMAT it names itself, None otherwise.
    head
        The SQL. For INSERT it ends before FORMAT or VALUES.
    data_start
        For INSERT: where in the given bytes the data begins.
    """

    kind: Kind
    format: str | None
    head: str
    data_start: int


@dataclass(frozen=True)
class _Token:
    kind: str
    raw: bytes
    start: int
    end: int
    depth: int

    @property
    def upper(self) -> str:
        return self.raw.decode("utf-8", "replace").upper()


def parse(text: bytes) -> Statement:
    """Part the statement `text` begins with from the data that may follow.

    Raises
    ------
    StatementRefused
        Nothing in it, a second statement after a semicolon, or a way to this machine's files.
    """
    tokens = _tokens(text)
    first = next(tokens, None)
    if first is None:
        raise StatementRefused("Empty query")
    if first.upper == "INSERT":
        return _insert(text, tokens)
    seen = [first, *_guarded(tokens, first)]
    return Statement(_kind(first.upper), _named_format(seen), _sql(text, seen[-1].end), len(text))


def _kind(first_word: str) -> Kind:
    if first_word in _READING:
        return Kind.SELECT
    return Kind.TELL if first_word in _TELLING else Kind.OTHER


def _insert(text: bytes, tokens: Iterator[_Token]) -> Statement:
    # The table itself may be called `format` or `values`: what follows INTO or a dot is a name, whatever it says.
    expecting_name = True
    guarded = _guarded(tokens, None)
    for token in guarded:
        if token.depth > 0:
            continue
        upper = token.upper if token.kind == "word" else ""
        if expecting_name:
            expecting_name = upper in ("INTO", "TABLE", "FUNCTION")
        elif token.raw == b".":
            expecting_name = True
        elif upper in ("SELECT", "WITH"):
            end = max([token.end, *(later.end for later in guarded)])
            return Statement(Kind.OTHER, None, _sql(text, end), len(text))
        elif upper == "VALUES":
            return Statement(Kind.INSERT, "Values", _sql(text, token.start), token.end)
        elif upper == "FORMAT":
            name = next(guarded, None)
            if name is None or name.kind != "word":
                raise StatementRefused("Syntax error: a format name must follow FORMAT")
            return Statement(Kind.INSERT, name.raw.decode(), _sql(text, token.start), _data_start(text, name.end))
    raise StatementRefused("Syntax error: INSERT names neither VALUES, nor FORMAT, nor SELECT")


def _data_start(text: bytes, after: int) -> int:
    """Data begins after the first line break, or after the blanks where there is none."""
    blanks = re.compile(rb"[ \t\f]*(?:\r?\n)?").match(text, after)
    return blanks.end() if blanks else after


def _tokens(text: bytes) -> Iterator[_Token]:
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "mark"
        if kind == "tag":
            kind = "text"
        if kind == "skip":
            continue
        raw = match[0]
        if raw in _CLOSE:
            depth -= 1
        yield _Token(kind, raw, match.start(), match.end(), depth)
        if raw in _OPEN:
            depth += 1


def _guarded(tokens: Iterator[_Token], before: _Token | None) -> Iterator[_Token]:
    """Pass tokens on until the statement ends; refuse what a client of a server may not do."""
    ended = False
    for token in tokens:
        if token.raw == b";":
            ended = True
            continue
        if ended:
            raise StatementRefused("Syntax error: multi-statements are not allowed")
        if before is not None:
            _refuse_local_files(before, token)
        before = token
        yield token


def _refuse_local_files(before: _Token, token: _Token) -> None:
    called = before.raw.strip(b'`"').decode("utf-8", "replace").upper() if before.kind in ("word", "name") else ""
    if token.raw == b"(" and called in _LOCAL_FUNCTIONS:
        raise StatementRefused(f"{called.lower()}() is not available here", code=497, name="ACCESS_DENIED", status=403)
    if token.upper in ("INFILE", "OUTFILE") and before.upper in ("FROM", "INTO"):
        raise StatementRefused(f"{token.upper} is not available here", code=497, name="ACCESS_DENIED", status=403)
    path_like = token.raw[1:2] == b"/" or token.raw[1:3] in (b"./", b"..", b"~/")
    as_table = token.kind == "name" or (token.kind == "text" and before.upper in _TABLE_FOLLOWS)
    if path_like and as_table:
        raise StatementRefused("A file cannot be read as a table here", code=497, name="ACCESS_DENIED", status=403)


def _named_format(tokens: list[_Token]) -> str | None:
    """The name after a closing FORMAT; `format` as a column's name is followed by something else."""
    for position in range(len(tokens) - 2, -1, -1):
        token = tokens[position]
        if token.depth == 0 and token.kind == "word" and token.upper == "FORMAT":
            name = tokens[position + 1]
            rest = tokens[position + 2 : position + 3]
            if name.kind == "word" and (not rest or rest[0].upper == "SETTINGS"):
                return name.raw.decode()
    return None


def _sql(text: bytes, end: int) -> str:
    try:
        return text[:end].decode()
    except UnicodeDecodeError as error:
        raise StatementRefused(f"The statement is not UTF-8: {error}") from error
