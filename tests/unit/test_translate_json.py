"""What both bridges' JSON has in common: numbers, times, faults, and texts without secrets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from copypro.adapters.bridge_json import (
    Unreadable,
    decoded,
    details,
    fault_in,
    moment_or_none,
    plain,
    query_of,
    safe_text,
    scalar,
    summary,
    tick,
    tidy_lots,
    utc_or_none,
)
from hypothesis import given
from hypothesis import strategies as st

finite = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=0, max_value=10**9)


@given(finite)
def test_numbers_leave_plain_and_whole(number: Decimal) -> None:
    text = plain(number.normalize())
    assert "E" not in text.upper()
    assert Decimal(text) == number


@given(st.dictionaries(st.sampled_from(["symbol", "comment", "id"]), st.text()))
def test_a_query_says_what_was_meant(params: dict[str, str]) -> None:
    from urllib.parse import parse_qsl

    try:
        query = query_of(params)
    except UnicodeEncodeError:
        return  # lone surrogates have no UTF-8
    assert dict(parse_qsl(query, keep_blank_values=True)) == params


def test_a_list_repeats_its_name() -> None:
    assert (
        query_of({"symbols": ["A", "B&C"], "interval": 0}) == "symbols=A&symbols=B%26C&interval=0"
    )


@pytest.mark.parametrize(
    ("raw", "lots"),
    [("0.30000000000000004", "0.3"), ("0.1", "0.1"), ("0.01", "0.01"), ("12345678.01", "12345678.01"),
     ("0.07000000000000001", "0.07"), ("0", "0")],
)  # fmt: skip
def test_a_sum_of_doubles_is_tidied(raw: str, lots: str) -> None:
    assert tidy_lots(Decimal(raw)) == Decimal(lots)


@pytest.mark.parametrize(
    "never", ["0001-01-01T00:00:00", "1970-01-01T00:00:00", "1979-12-31T23:59:59"]
)
def test_a_year_long_past_is_never(never: str) -> None:
    assert moment_or_none(datetime.fromisoformat(never)) is None


@pytest.mark.parametrize("never", ["9999-12-31T23:59:59", "9999-12-31T23:59:59.9999999"])
def test_the_end_of_all_time_is_never(never: str) -> None:
    found = decoded(tick, f'{{"symbol":"X","bid":1,"ask":2,"time":"{never}"}}'.encode())
    assert moment_or_none(found.time) is None


@pytest.mark.parametrize(
    "raw",
    [
        b'{"balance":"NaN","equity":1}',
        b'{"balance":1,"equity":1,"margin":"Infinity"}',
        b'{"balance":1,"equity":1,"leverage":"NaN"}',
        b'{"balance":1,"equity":1e400}',
    ],
)
def test_a_summary_with_what_is_no_number_is_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        decoded(summary, raw)


@pytest.mark.parametrize("price", [b'"NaN"', b'"Infinity"', b"1e400"])
def test_a_quote_with_what_is_no_number_is_unreadable(price: bytes) -> None:
    with pytest.raises(Unreadable):
        decoded(tick, b'{"symbol":"X","bid":1,"ask":' + price + b"}")


def test_a_time_loses_its_zone_and_keeps_its_clock() -> None:
    found = decoded(tick, b'{"symbol":"X","bid":1,"ask":2,"time":"2026-09-12T03:25:41.8315376Z"}')
    assert moment_or_none(found.time) == datetime(2026, 9, 12, 3, 25, 41, 831538)


def test_utc_milliseconds() -> None:
    assert utc_or_none(1_789_372_479_092) == datetime(2026, 9, 14, 7, 54, 39, 92_000, tzinfo=UTC)
    for never in (None, 0, -1, -62_135_596_800_000, 253_402_300_799_999, 2**63 - 1):
        assert utc_or_none(never) is None


@pytest.mark.parametrize("body", [b"OK", b'"OK"', b' "OK" \r\n'])
def test_a_scalar_is_bare_or_quoted(body: bytes) -> None:
    assert scalar(body) == "OK"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"message":"m","code":"X","stackTrace":null}', ("X", "m")),
        (b'{"code":10019,"message":null}', ("10019", "")),
        (b' \n{"code":"X","message":"caf\xe9"}', ("X", "caf�")),
        (b'{"code":null,"message":"m"}', None),
        (b'{"message":"m"}', None),
        (b'{"code":"X"}', None),
        (b'[{"code":"X","message":"m"}]', None),
        (b"OK", None),
        (b"", None),
        (b'{"ticket": 1, "lots": 0.1}', None),
    ],
)
def test_a_fault_has_a_code_and_a_message(body: bytes, fault: tuple[str, str] | None) -> None:
    assert fault_in(body) == fault


def test_of_a_fault_no_more_is_looked_through_than_people_could_read() -> None:
    """It is searched for secrets, letter by letter, while all accounts wait."""
    fault = fault_in(b'{"code": "' + b"A" * 100_000 + b'", "message": "' + b"a-" * 100_000 + b'"}')
    assert fault is not None
    assert [len(part) for part in fault] == [10_000, 10_000]


def test_an_error_object_is_no_summary() -> None:
    with pytest.raises(Unreadable):
        decoded(summary, b'{"message":"m","code":"X"}')


def test_synced_is_true_where_it_is_not_told() -> None:
    assert decoded(summary, b'{"balance":1,"equity":1}').synced
    assert not decoded(summary, b'{"balance":0,"equity":0,"synced":false}').synced


def test_the_password_in_the_details_is_never_held() -> None:
    found = decoded(details, b'{"user":1,"password":"canary","company":"C"}')
    assert "canary" not in repr(found)


def test_unreadable_quotes_nothing() -> None:
    with pytest.raises(Unreadable) as caught:
        decoded(summary, b'{"balance":"canary')
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_message_keeps_no_secret() -> None:
    token = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
    message = (
        f"Client with id {token} not found at https://user:pw@host/Connect?password=pa%20ss"
        " password: pa ss, token=abc"
    )
    text = safe_text(message, ("pa ss", token))
    for secret in (token, "https", "host", "pa ss", "pa%20ss", "abc", "pw"):
        assert secret not in text
    assert text.startswith("Client with id")


@pytest.mark.parametrize(
    "form",
    ["p&ss <1>é", "p%26ss%20%3C1%3E%C3%A9", "p%26ss+%3C1%3E%C3%A9", "p&amp;ss &lt;1&gt;é"],
    ids=["plain", "in a URL", "in a form", "on a page"],
)
@pytest.mark.parametrize("spell", [str, str.lower])
def test_a_secret_is_known_however_it_is_quoted(form: str, spell: Callable[[str], str]) -> None:
    text = safe_text(f"cannot log in with {spell(form)}!", ("p&ss <1>é",))
    assert text == "cannot log in with ***!"


@pytest.mark.parametrize(
    "message",
    [
        '{"user": 1, "password": "canary pass", "host": "h"}',
        "{'otp':'canary pass'}",
        r'{"password": "canary\" pass"}',
        'Password = "canary pass" of 1001',
        "user=1&Password=canary&server=X",
    ],
)
def test_a_secret_of_another_call_is_not_quoted_either(message: str) -> None:
    text = safe_text(message, ())
    assert "canary" not in text
    assert "pass" not in text.lower().replace("password", "")
