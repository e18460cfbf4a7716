"""Datasets without a subject's rows: rewritten whole or not at all."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from storage.erasure.disk import needles, search_files
from storage.erasure.errors import FileNotErased
from storage.erasure.exports import Exports
from storage.erasure.subject import pattern_of

MINE = "0192f0c1-2b3a-7c4d-8e5f-001122334455"
OTHER = "0192f0c1-2b3a-7c4d-8e5f-00112233aaaa"


def line(event_id: str, text: str = "hello") -> str:
    return json.dumps({"event_id": event_id, "messages": [{"role": "user", "content": text}]}) + "\n"


def exports(folder: Path) -> Exports:
    return Exports([folder], {MINE}, [pattern_of("user-4711")])


def test_rows_of_the_subject_go_and_all_others_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.jsonl"
    file.parent.mkdir()
    file.write_text(line(OTHER) + line(MINE) + line(MINE.upper()) + "not json\n" + line(OTHER, "é")[:-1])
    file.chmod(0o640)
    untouched = tmp_path / "b.jsonl"
    untouched.write_text(line(OTHER))
    before = untouched.stat().st_ino
    exports(tmp_path).erase()
    assert file.read_text() == line(OTHER) + "not json\n" + line(OTHER, "é")[:-1]
    assert file.stat().st_mode & 0o777 == 0o640
    assert untouched.stat().st_ino == before
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["b.jsonl", "deep", "a.jsonl"]


def test_a_mention_in_another_row_is_taken_out_of_it(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(line(OTHER, "ask\nuser-4711 user-4711"))
    exports(tmp_path).erase()
    assert file.read_text() == line(OTHER, "ask\n<ERASED> <ERASED>")


def test_what_is_unfinished_goes_and_nothing_is_left_beside_files(tmp_path: Path) -> None:
    for name in ("a.unfinished", "b.jsonl.erasing"):
        (tmp_path / name).write_text(line(MINE))
    exports(tmp_path).erase()
    assert list(tmp_path.iterdir()) == []


def test_other_formats_are_searched_and_reported(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{MINE},hello\n")
    one = exports(tmp_path)
    one.erase()
    found = one.search()[0]
    assert (found.looked_at, found.found, found.note) == (1, 1, "a.csv")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    one = exports(tmp_path / "gone")
    one.erase()
    found = one.search()[0]
    assert (found.looked_at, found.found, found.note) == (0, 0, "not on this machine, or gone")


def test_a_file_that_cannot_be_rewritten_is_named_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(line(MINE))
    (tmp_path / "a.jsonl.erasing").mkdir()
    with pytest.raises(FileNotErased) as caught:
        exports(tmp_path).erase()
    assert caught.value.path == str(file)
    assert file.read_text() == line(MINE)


def test_ids_are_found_in_files_as_text_and_as_clickhouse_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(f"x{MINE}y")
    (tmp_path / "stored").write_bytes(b"\0" + uuid.UUID(MINE).bytes[8:][::-1] + b"\0")
    (tmp_path / "word").write_text("of user-4711")
    (tmp_path / "empty").touch()
    (tmp_path / "other").write_text(OTHER)
    found = search_files(tmp_path, needles(["user-4711"], [MINE]), lambda: None)
    assert (found.looked_at, found.found, found.note) == (5, 3, "stored, text, word")
