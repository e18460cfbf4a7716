from datetime import UTC
from zoneinfo import ZoneInfo

from dashboard.scope import zone
from dashboard.store import explanation
from storage.errors import StoreRefused, StoreUnavailable


def test_a_store_that_does_not_answer_is_named_with_its_address() -> None:
    title, advice = explanation(StoreUnavailable("http://127.0.0.1:8123", "connection refused"))
    assert title == "The store at http://127.0.0.1:8123 does not answer"
    assert "connection refused" in advice
    assert "keeps trying" in advice


def test_missing_tables_say_how_to_make_them() -> None:
    title, advice = explanation(StoreRefused(60, "Unknown table"))
    assert "no tables" in title
    assert "inferwatch migrate" in advice


def test_any_other_refusal_is_shown() -> None:
    title, advice = explanation(StoreRefused(516, "Authentication failed"))
    assert "refused" in title
    assert "Authentication failed" in advice


def test_a_zone_that_is_unknown_is_utc() -> None:
    assert zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    assert zone(None) is zone("") is zone("Mars/Olympus") is zone("../etc/passwd") is UTC
