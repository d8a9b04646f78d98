"""What clients of the original write, in all the ways in which they write it."""

from __future__ import annotations

import msgspec
import pytest
from copypro.options import FilterMode, MagicMode, PendingMode, RiskType, SideFilter, StopMode
from copypro.values import Platform
from copypro_gateway.subjects.account_settings import SymbolsEnable
from copypro_gateway.subjects.copiers import CopierPause, Start
from copypro_gateway.subjects.keys import AddKey
from copypro_gateway.subjects.logs import Logs
from copypro_gateway.subjects.orders import ClosedOrders
from copypro_gateway.wording.errors import ApiError
from copypro_gateway.wording.parameters import ByAccount, moment_of
from copypro_gateway.wording.reading import from_body, from_query, read


@pytest.mark.parametrize("name", ["accountId", "ACCOUNTID", "accountid", "apiId", "apiid", "id"])
def test_an_account_is_named_in_any_spelling(name: str) -> None:
    assert read(ByAccount, from_query([(name, "7")])).account_id == "7"
    assert read(ByAccount, from_body(b'{"%s": "7"}' % name.encode())).account_id == "7"


def test_of_two_spellings_the_documented_one_counts_and_of_repeats_the_last() -> None:
    assert read(ByAccount, from_query([("id", "1"), ("accountId", "2")])).account_id == "2"
    assert read(ByAccount, from_query([("id", "1"), ("ID", "2")])).account_id == "2"


def test_the_body_counts_before_the_address_by_whichever_name() -> None:
    body, address = from_body(b'{"copierId": "2", "paused": ""}'), [("id", "1"), ("paused", "1")]
    given = read(CopierPause, body, from_query(address))
    assert (given.copier_id, given.paused) == ("2", True)


def test_many_values_are_those_of_the_body_or_those_of_the_address() -> None:
    address = from_query([("id", "7"), ("enableAllSymbols", "true"), ("off", "A"), ("off", "B")])
    assert read(SymbolsEnable, from_body(b'{"off": ["C"]}'), address).off == ["C"]
    assert read(SymbolsEnable, from_body(b'{"off": []}'), address).off == ["A", "B"]


def test_empty_optional_parameters_are_absent_and_unknown_ones_ignored() -> None:
    written = [("accountId", "7"), ("from", ""), ("limit", ""), ("colour", "red")]
    given = read(ClosedOrders, from_query(written))
    assert (given.from_, given.limit) == (None, 1000)
    assert read(ClosedOrders, from_body(b'{"id": "7", "limit": null}')).limit == 1000
    options = read(Start, from_query([("riskType", ""), ("COPYSL", "False"), ("copytp", "")]))
    assert (options.copy_sl, options.copy_tp) == (False, True)


def test_words_are_taken_in_any_case() -> None:
    """As the original takes them."""
    pairs = {
        "riskType": "fixedlot", "masterType": "mt4", "filterSide": "COPYBUYONLY", "slMode": "price",
        "pendingMode": "ignore", "copyMagicNumber": "yes", "filterMagicOption": "none",
    }  # fmt: skip
    start = read(Start, from_query(pairs.items()))
    assert (start.risk_type, start.master_type) == (RiskType.FIXED_LOT, Platform.MT4)
    assert (start.filter_side, start.sl_mode) == (SideFilter.BUY_ONLY, StopMode.PRICE)
    assert (start.pending_mode, start.copy_magic_number) == (PendingMode.IGNORE, MagicMode.YES)
    assert start.filter_magic_option is FilterMode.NONE
    assert read(Logs, from_body(b'{"id": "7", "logLevel": "warning"}')).log_level == "Warning"
    assert read(AddKey, from_query([("name", "x"), ("scope", "READ")])).scope == "read"


@pytest.mark.parametrize(
    "body", [b'{"riskType": 7}', b'{"riskType": ["x"]}', b'{"riskType": "fixed"}']
)
def test_what_is_none_of_the_words_is_told_them(body: bytes) -> None:
    with pytest.raises(ApiError, match=r"^riskType: Input should be 'FixedLot', 'LotMultiplier'"):
        read(Start, from_body(body))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("paused", "true")], "id: is required"),
        ([("id", ""), ("paused", "true")], "id: is required"),
        ([("id", "s3cret"), ("paused", "s3cret")], "paused: "),
        ([("id", "s3cret" * 100), ("paused", "1")], "id: "),
    ],
)
def test_a_refusal_names_the_field_and_never_the_value(
    pairs: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(ApiError) as refused:
        read(CopierPause, from_query(pairs))
    assert refused.value.status == 400
    assert refused.value.message.startswith(message)
    assert "s3cret" not in refused.value.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"riskValue": "0,5"}, "riskValue: is not a number like 0.5"),
        ({"riskValue": {}}, "riskValue: is not a number like 0.5"),
        ({"maxAgeS": "soon"}, "maxAgeS: is not a number like 0.5"),
        ({"tradeDelayMs": 0.5}, "tradeDelayMs: is not a whole number"),
        ({"masterUser": "me"}, "masterUser: is not a whole number"),
        ({"copySL": "maybe"}, "copySL: is neither true nor false"),
        ({"masterPassword": 12345}, "masterPassword: is not a text in quotes"),
    ],
)
def test_what_is_of_another_kind_is_told_in_the_words_of_those_who_call(
    body: dict[str, object], message: str
) -> None:
    """Not in those of the language that this is written in."""
    with pytest.raises(ApiError) as refused:
        read(Start, from_body(msgspec.json.encode(body)))
    assert refused.value.message == message


@pytest.mark.parametrize("body", [b"[]", b"7", b'"id"', b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError, match=r"^body: is not a JSON object"):
        from_body(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"riskValue": NaN}', "JSON is malformed: invalid character (byte 14)"),
        (b'{"riskValue": 1e999}', "a number is too large"),
        (b'{"riskValue": -1e999}', "a number is too large"),
        (b'{"masterName": "\xfcber"}', "it is not UTF-8"),
        (b'{"\xfc": 1}', "it is not UTF-8"),
        ('{"riskValue": 2}'.encode("utf-16"), "it is not UTF-8"),
        ('{"riskValue": 2}'.encode("utf-16-le"), "JSON is malformed: object keys must be strings"),
        (b'{"masterName": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "it is nested too deeply"),
        (b'{"riskValue": 0,5}', "JSON is malformed: object keys must be strings (byte 16)"),
        (b'{"riskValue": 2', "Input data was truncated"),
        (b"riskValue=2", "JSON is malformed: invalid character (byte 0)"),
    ],
)
def test_a_body_that_cannot_be_read_is_told_why(body: bytes, reason: str) -> None:
    with pytest.raises(ApiError) as refused:
        from_body(body)
    assert (refused.value.status, refused.value.code) == (400, "INVALID_PARAMETER")
    assert refused.value.message.startswith('body: is not a JSON object like {"accountId": "…"}: ')
    assert f": {reason}" in refused.value.message


def test_a_byte_order_mark_is_no_part_of_a_body() -> None:
    """.NET and PowerShell write one before UTF-8."""
    assert from_body(b'\xef\xbb\xbf{"riskValue": 2}') == from_body(b'{"riskValue": 2}')
    assert from_body(b"\xef\xbb\xbf") == {}


@pytest.mark.parametrize("value", ["[]", "[2]", "[1, 2]", '[""]', "[null]"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("riskValue", "is not a number like 0.5"),
        ("masterUser", "is not a whole number"),
        ("copySL", "is neither true nor false"),
        ("masterServer", "is not a text in quotes"),
        ("riskType", "Input should be 'FixedLot'"),
    ],
)
def test_a_list_where_one_value_is_taken_is_refused_by_name(
    name: str, told: str, value: str
) -> None:
    """An empty one was as if it were absent, and of several the last one counted."""
    with pytest.raises(ApiError) as refused:
        read(Start, from_body(f'{{"{name}": {value}}}'.encode()))
    assert refused.value.message.startswith(f"{name}: {told}")


@pytest.mark.parametrize("value", ["[]", '[""]', "[null]", "null", '""'])
def test_an_empty_list_of_many_values_is_an_absent_one(value: str) -> None:
    written = from_body(f'{{"accountId": "7", "enableAllSymbols": true, "off": {value}}}'.encode())
    assert read(SymbolsEnable, written).off == []


def test_many_values_are_a_list_or_a_name_written_again() -> None:
    rest = [("id", "7"), ("enableAllSymbols", "true")]
    written = from_body(b'{"id": "7", "enableAllSymbols": true, "off": ["A", "", "B"]}')
    assert read(SymbolsEnable, written).off == ["A", "B"]
    assert read(SymbolsEnable, from_query([*rest, ("off", "A"), ("off", "B")])).off == ["A", "B"]
    assert read(SymbolsEnable, from_body(b'{"id": "7", "enableAllSymbols": 1, "off": "A"}')).off


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("2026-01-31", "2026-01-31T00:00:00.000"),
        ("2026-01-31T13:30:00", "2026-01-31T13:30:00.000"),
        ("2026-01-31 13:30:00.250", "2026-01-31T13:30:00.250"),
        ("2026-01-31T13:30:00Z", "2026-01-31T15:30:00.000"),
        ("2026-01-31T13:30:00+01:00", "2026-01-31T14:30:00.000"),
        ("2026-01-31T13:30:00 01:00", "2026-01-31T14:30:00.000"),
    ],
)
def test_a_time_is_the_brokers_unless_it_has_a_zone(written: str, stored: str) -> None:
    assert moment_of("from", written, offset_minutes=120) == stored


@pytest.mark.parametrize("written", ["yesterday", "2026-02-30", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_refused_by_name(written: str) -> None:
    with pytest.raises(ApiError, match=r"^from: is not a time"):
        moment_of("from", written, offset_minutes=-600)
