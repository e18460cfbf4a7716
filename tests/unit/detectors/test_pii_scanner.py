"""What the scanner finds, where, and that masking takes all of it away."""

from __future__ import annotations

import base64
import json

import pytest

from detectors.errors import BadInput, BadSetting
from detectors.pii.mask import mask
from detectors.pii.overlap import resolve
from detectors.pii.scanner import Scanner, ScannerSettings
from detectors.pii.spans import Span

SCANNER = Scanner()


def token() -> str:
    parts = (json.dumps({"alg": "HS256", "typ": "JWT"}), json.dumps({"sub": "1"}), "signature-bytes")
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


FOUND = [
    ("EMAIL_ADDRESS", "ann.o'hara+list@mail.example.co.uk"),
    ("EMAIL_ADDRESS", "用户@例子.公司"),
    ("CREDIT_CARD", "4111 1111 1111 1111"),
    ("CREDIT_CARD", "5500-0000-0000-0004"),
    ("CREDIT_CARD", "378282246310005"),
    ("CREDIT_CARD", "6011000990139424"),
    ("IBAN_CODE", "GB82 WEST 1234 5698 7654 32"),
    ("IBAN_CODE", "de89370400440532013000"),
    ("US_SSN", "536-22-8765"),
    ("IP_ADDRESS", "203.0.113.77"),
    ("IP_ADDRESS", "2001:db8::ff00:42:8329"),
    ("PHONE_NUMBER", "+49 30 901820"),
    ("PHONE_NUMBER", "(212) 555-0123"),
    ("PHONE_NUMBER", "+1-212-555-0123"),
    ("API_KEY", "AKIA" + "IOSFODNN7EXAMPLE"),
    ("API_KEY", "ghp_" + "a1B2" * 9),
    ("JWT", token()),
]
AROUND = [
    "{}",
    "it is {}.",
    "({})",
    "a: {}\nb",
    '{{"v":"{}"}}',
    "für mich, {}, bitte",
    "{}?",
    "\U0001d4b3 {} \U0001d4b3",
]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(("entity_type", "value"), FOUND)
def test_a_value_is_found_at_its_exact_place_whatever_stands_around_it(
    entity_type: str, value: str, around: str
) -> None:
    text = around.format(value)
    (span,) = SCANNER.scan(text)
    assert (span.entity_type, text[span.start : span.end]) == (entity_type, value)


@pytest.mark.parametrize(
    "text",
    [
        "trace 550e8400-e29b-41d4-a716-446655440000 ended",
        "trace 12345678-1234-1234-1234-123456789012 ended",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "commit 4111111111111111aaaa",
        "version 1.2.3.4 replaces v10.20.30.40",
        "at 2024-01-15T10:30:00Z, 2024-01-15 10:30:00.123456 and 15/01/2024",
        "epoch 1700000000, in ms 1700000000000, in ns 1700000000000000000",
        "order number 2125550123 and order no. 212-555-0123",
        "costs $1,234,567.89 or 1 234 567,89 € or 19.99",
        "pi is 3.14159265358979 and e is 2.718281828459045",
        "range 100-200-300, score 12-7, ratio 16:9, 10:30:15",
        "std::vector and cafe::babe and fe::ed",
        "mac 00:1a:2b:3c:4d:5e and eui 00:11:22:33:44:55:66:77",
        "card 4111 1111 1111 1112 fails its check digit",
        "numbers 000-12-3456, 666-12-3456, 900-12-3456 and 123-00-4567 were never issued",
        "GB82 WEST 1234 5698 7654 33 fails modulo 97",
        "npm install left-pad@1.3.0, git@github.com:org/repo.git, logo@2x.png, @decorator",
        "localhost is 127.0.0.1 or ::1",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12",
        "isbn 978-3-16-148410-0 and ean 4006381333931",
        "tokens 128000 of 200000, 1024x768, 2 000 000 rows",
        "task-sk-learn-and-a-long-hyphenated-name-without-secrets eyJust.kidding.here",
    ],
)
def test_what_only_looks_like_personal_data_is_left_alone(text: str) -> None:
    assert SCANNER.scan(text) == ()


def test_words_before_a_number_decide_what_it_is() -> None:
    assert [s.entity_type for s in SCANNER.scan("my ssn is 536228765")] == ["US_SSN"]
    assert SCANNER.scan("part 536228765") == ()
    assert [s.entity_type for s in SCANNER.scan("call me at 2125550123")] == ["PHONE_NUMBER"]
    assert SCANNER.scan("order 2125550123") == ()


def test_a_private_key_is_found_even_if_cut_off() -> None:
    begin, body = "-----BEGIN RSA PRIVATE KEY-----", "\nMIIEowIBAAKCAQEA\n"
    whole = f"x {begin}{body}-----END RSA PRIVATE KEY----- y"
    assert SCANNER.mask(whole) == "x <PRIVATE_KEY> y"
    assert SCANNER.mask(f"x {begin}{body}") == "x <PRIVATE_KEY>"


def test_several_values_are_masked_and_the_rest_is_untouched() -> None:
    text = "Ann <ann@example.com>, card 4111111111111111 from 203.0.113.7, tel. +49 30 901820."
    masked = "Ann <<EMAIL_ADDRESS>>, card <CREDIT_CARD> from <IP_ADDRESS>, tel. <PHONE_NUMBER>."
    assert SCANNER.mask_all([text, "nothing here", ""]) == [masked, "nothing here", ""]
    assert SCANNER.scan(masked) == ()


def test_a_higher_score_wins_an_overlap_then_the_longer_span() -> None:
    phone, card = Span("PHONE_NUMBER", 0, 12, 0.6), Span("CREDIT_CARD", 4, 20, 1.0)
    apart, short, long = Span("US_SSN", 20, 31, 0.9), Span("US_SSN", 40, 45, 0.5), Span("PHONE_NUMBER", 38, 45, 0.5)
    assert resolve([phone, short, apart, long, card]) == (card, apart, long)


@pytest.mark.parametrize(
    "spans",
    [
        [Span("US_SSN", 0, 99, 1.0)],
        [Span("US_SSN", 4, 8, 1.0), Span("JWT", 0, 2, 1.0)],
        [Span("US_SSN", 0, 4, 1.0), Span("JWT", 3, 5, 1.0)],
        [Span("US_SSN", 2, 2, 1.0)],
    ],
)
def test_spans_of_another_text_are_refused_rather_than_masked_wrongly(spans: list[Span]) -> None:
    with pytest.raises(BadInput):
        mask("0123456789", spans)


def test_only_wanted_types_and_scores_are_reported() -> None:
    text = "ann@example.com, 203.0.113.7, (212) 555-0123"
    emails = Scanner(ScannerSettings(entity_types=("EMAIL_ADDRESS",)))
    assert [s.entity_type for s in emails.scan(text)] == ["EMAIL_ADDRESS"]
    certain = Scanner(ScannerSettings(min_score=0.95))
    assert [s.entity_type for s in certain.scan(text)] == ["EMAIL_ADDRESS"]


def test_unknown_names_in_settings_are_refused() -> None:
    with pytest.raises(BadSetting, match="phone_regions"):
        ScannerSettings(phone_regions=("UK",))
    with pytest.raises(BadSetting, match="min_score"):
        ScannerSettings(min_score=2.0)
