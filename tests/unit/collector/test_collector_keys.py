"""API keys: shown once, kept as hashes, recognised while they are valid."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ingest.api_keys import KeyRing, create, load, revoke
from ingest.collector.caller import ANYONE, Caller, authenticate
from ingest.errors import KeyFileError, Unauthenticated, UnknownKey


class At:
    """A clock that a test moves."""

    def __init__(self, now: float = 1000.0) -> None:
        self.at = now

    def now(self) -> float:
        return self.at

    def elapsed(self) -> float:
        return self.at


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "keys.json"


def test_a_key_is_kept_as_a_hash_in_a_file_of_its_owner_only(file: Path) -> None:
    key, text = create(file, 1000.0, team="alpha", note="web shop")
    assert text.startswith(f"iw_{key.id}_")
    assert len(text) == 55
    assert text not in file.read_text()
    assert text.removeprefix(f"iw_{key.id}_") not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(file) == (key,)


def test_only_the_whole_key_is_recognised(file: Path) -> None:
    key, text = create(file, 1000.0)
    _, other = create(file, 1000.0)
    ring = KeyRing(file, At())
    assert ring.recognise(text) == key
    swapped = text[:12] + other[12:]
    for wrong in (text[:-1], text + "A", swapped, text.upper(), key.id, "", "iw_", "Bearer " + text, "\ud800"):
        assert ring.recognise(wrong) is None


def test_a_revoked_key_ends_in_a_ring_that_exists_already(file: Path) -> None:
    key, text = create(file, 1000.0)
    ring = KeyRing(file, At())
    assert ring.recognise(text) is not None
    revoke(file, key.id, 1001.0)
    assert ring.recognise(text) is None
    later, made_later = create(file, 1002.0)
    assert ring.recognise(made_later) == later


def test_a_key_expires(file: Path) -> None:
    _, text = create(file, 1000.0, expires_at=2000.0)
    clock = At()
    ring = KeyRing(file, clock)
    assert ring.recognise(text) is not None
    clock.at = 2000.0
    assert ring.recognise(text) is None


def test_a_file_that_is_damaged_or_gone_later_leaves_the_keys_as_they_were(file: Path) -> None:
    _, text = create(file, 1000.0)
    ring = KeyRing(file, At())
    file.write_text("[{")
    assert ring.recognise(text) is not None
    file.unlink()
    assert ring.recognise(text) is not None


def test_a_file_that_could_not_be_read_once_is_read_again_as_it_is(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key, text = create(file, 1000.0)
    ring = KeyRing(file, At())
    revoke(file, key.id, 1001.0)
    with monkeypatch.context() as patched:

        def unreadable(_path: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        patched.setattr(Path, "read_bytes", unreadable)
        assert ring.recognise(text) is not None
        assert ring.recognise(text) is not None
    assert ring.recognise(text) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"API keys stay as they were: {file}, the file with API keys, cannot be read: Permission denied"
    ]


def test_a_file_written_in_place_is_noticed_whatever_its_size_and_time_say(file: Path) -> None:
    _, text = create(file, 1000.0)
    ring = KeyRing(file, At())
    before = file.stat()
    # A clock of a file system has steps: wait for the next one.
    while file.stat().st_ctime_ns == before.st_ctime_ns:
        file.write_bytes(file.read_bytes().replace(text[3:11].encode(), b"00000000"))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert ring.recognise(text) is None


@pytest.mark.parametrize("content", ["", "[", "{}", '[{"id": 7}]', "\xff"])
def test_a_file_that_is_none_of_ours_is_refused_by_its_path(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(KeyFileError, match=r"keys\.json"):
        KeyRing(file, At())


def test_no_file_is_refused_and_an_unknown_key_cannot_be_revoked(file: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        KeyRing(file, At())
    create(file, 1000.0)
    with pytest.raises(UnknownKey):
        revoke(file, "00000000", 1000.0)


def test_writing_that_fails_leaves_the_file_and_nothing_beside_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(file, 1000.0)
    before = file.read_bytes()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match="No space left"):
        create(file, 1000.0)
    assert file.read_bytes() == before
    assert sorted(each.name for each in file.parent.iterdir()) == [".keys.json.lock", "keys.json"]


def test_both_headers_are_understood_and_the_key_says_whose_it_is(file: Path) -> None:
    key, text = create(file, 1000.0, team="alpha", environment="staging")
    ring = KeyRing(file, At())
    expected = Caller(key.id, "alpha", "staging")
    for headers in ({"authorization": f"Bearer {text}"}, {"authorization": f"bearer {text}"}, {"x-api-key": text}):
        assert authenticate(ring, headers) == expected
    for headers in ({}, {"authorization": f"Basic {text}"}, {"x-api-key": "iw_x"}, {"authorization": "Bearer "}):
        with pytest.raises(Unauthenticated):
            authenticate(ring, headers)
    assert authenticate(None, {}) == ANYONE


def test_the_file_is_json_for_other_tools(file: Path) -> None:
    key, _ = create(file, 1000.0, team="alpha")
    assert json.loads(file.read_text())[0]["team"] == key.team
