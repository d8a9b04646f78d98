"""The table of result codes, row by row."""

from __future__ import annotations

import pytest
from copypro.retcodes import CREDENTIALS, CallKind, Class, classify, is_listed
from copypro.values import Platform
from hypothesis import given
from hypothesis import strategies as st

OK, NOW, LATER, FIX = Class.OK, Class.NOW, Class.LATER, Class.FIX
STOP, STOP_ACCOUNT, UNKNOWN = Class.STOP, Class.STOP_ACCOUNT, Class.UNKNOWN
BOTH = list(Platform)

MT4_OPENS = {
    UNKNOWN: (1, 2, 6, 128, 142, 143),
    STOP: (3, 133, 134, 140, 144, 148, 149, 150, 4106, 4107, 4108, 4109, 4110, 4111),
    LATER: (4, 137, 8, 141, 132, 136, 139, 145),
    STOP_ACCOUNT: (5, 7, 9, 64, 65),
    NOW: (129, 135, 138, 146),
    FIX: (130, 131, 147),
}
MT5_OPENS = {
    UNKNOWN: (10008, 10009, 10010, 10011, 10012, 10025, 10031, 10039),
    NOW: (10004, 10020, 10015),
    STOP: (
        10006, 10007, 10013, 10035, 10017, 10019, 10033, 10034, 10036, 10040, 10042, 10043, 10044,
        10045, 10046, 4753, 4754,
    ),
    FIX: (10014, 10016, 10022, 10030, 10038),
    LATER: (10018, 10021, 10023, 10024, 10028, 10029, 10041),
    STOP_ACCOUNT: (10026, 10027, 10032),
}  # fmt: skip
OPENS = [
    (platform, code, class_)
    for platform, table in ((Platform.MT4, MT4_OPENS), (Platform.MT5, MT5_OPENS))
    for class_, codes in table.items()
    for code in codes
]


@pytest.mark.parametrize(("platform", "code", "class_"), OPENS)
def test_the_class_of_an_open(platform: Platform, code: int, class_: Class) -> None:
    verdict = classify(platform, str(code), CallKind.OPEN)
    assert (verdict.class_, verdict.listed) == (class_, True)


@pytest.mark.parametrize("platform", BOTH)
@pytest.mark.parametrize(
    "code",
    [
        "TIMEOUT", "TRADE_TIMEOUT", "CONNECT_ERROR", "NO_CONNECTION", "SERVICE_NOT_AVAILABLE",
        "INTERNAL_ERROR", "ORDER_ACCEPTED", "ORDER_IN_PROCESS", "0", "10", "11", "260", "261",
    ],
)  # fmt: skip
@pytest.mark.parametrize("call", [CallKind.OPEN, CallKind.MODIFY, CallKind.CLOSE, CallKind.DELETE])
def test_what_may_stand_is_unknown_for_every_change_and_later_for_a_read(
    platform: Platform, code: str, call: CallKind
) -> None:
    assert classify(platform, code, call).class_ is UNKNOWN
    assert classify(platform, code, CallKind.READ).class_ is LATER
    assert is_listed(code)


@pytest.mark.parametrize(
    ("platform", "code", "call", "class_"),
    [
        (Platform.MT4, "SAME_PARAMS", CallKind.MODIFY, OK),
        (Platform.MT4, "1", CallKind.MODIFY, OK),
        (Platform.MT4, "1", CallKind.CLOSE, UNKNOWN),
        (Platform.MT4, "INVALID_TICKET", CallKind.CLOSE, OK),
        (Platform.MT4, "INVALID_TICKET", CallKind.OPEN, STOP),
        (Platform.MT4, "4108", CallKind.CLOSE, OK),
        (Platform.MT4, "130", CallKind.MODIFY, LATER),
        (Platform.MT4, "133", CallKind.CLOSE, LATER),
        (Platform.MT4, "3", CallKind.CLOSE, LATER),
        (Platform.MT4, "65", CallKind.CLOSE, LATER),
        (Platform.MT5, "10025", CallKind.MODIFY, OK),
        (Platform.MT5, "10036", CallKind.CLOSE, OK),
        (Platform.MT5, "10036", CallKind.MODIFY, LATER),
        (Platform.MT5, "4753", CallKind.DELETE, OK),
        (Platform.MT5, "ERR_TRADE_POSITION_NOT_FOUND", CallKind.CLOSE, OK),
        (Platform.MT5, "10006", CallKind.CLOSE, LATER),
        (Platform.MT5, "10017", CallKind.CLOSE, LATER),
        (Platform.MT5, "10019", CallKind.CLOSE, LATER),
        (Platform.MT5, "10038", CallKind.CLOSE, FIX),
        (Platform.MT5, "10039", CallKind.CLOSE, UNKNOWN),
        (Platform.MT5, "10026", CallKind.MODIFY, STOP_ACCOUNT),
        (Platform.MT4, "NO_SUCH_CALL", CallKind.DELETE, LATER),
        (Platform.MT5, "INVALID_SYMBOL", CallKind.READ, STOP),
    ],
)
def test_what_differs_for_other_calls(
    platform: Platform, code: str, call: CallKind, class_: Class
) -> None:
    assert classify(platform, code, call).class_ is class_


@pytest.mark.parametrize("code", [str(number) for number in range(18)])
@pytest.mark.parametrize("call", [CallKind.OPEN, CallKind.MODIFY, CallKind.CLOSE, CallKind.DELETE])
def test_mt5s_general_numbers_are_not_mt4s_and_prove_nothing(code: str, call: CallKind) -> None:
    """MT4's 9 refuses for good; MT5's is a time-out, after which the order may stand."""
    assert classify(Platform.MT5, code, call).class_ is UNKNOWN
    assert classify(Platform.MT5, code, CallKind.READ).class_ is LATER


@pytest.mark.parametrize("code", ["NO_ANSWER", "UNREADABLE", "HTTP_502", "HTTP_404"])
def test_trouble_on_the_way_is_listed_so_it_is_settled_with_all_the_waits(code: str) -> None:
    assert is_listed(code)
    for platform in BOTH:
        assert classify(platform, code, CallKind.OPEN).class_ is UNKNOWN


MT4_NAMES = """
INTERNAL_ERROR 0, COMMON_ERROR 2, INVALID_PARAM 3, SERVER_BUSY 4, OLD_VERSION 5, NO_CONNECT 6,
NOT_ENOUGH_RIGHTS 7, TOO_FREQUENT_REQUEST 8, NO_CONNECTION 10, SERVICE_NOT_AVAILABLE 11,
TOO_FREQUENT_REQUESTS 12, SECRET_KEY_REQUIRED 13, INVALID_ONETIME_PASSWORD 14, ACCOUNT_DISABLED 64,
INVALID_ACCOUNT 65, PUBLIC_KEY_NOT_FOUND 66, TRADE_TIMEOUT 128, INVALID_PRICES 129, INVALID_SL_TP 130,
INVALID_VOLUME 131, MARKET_CLOSED 132, TRADE_DISABLED 133, NOT_MONEY 134, PRICE_CHANGED 135,
OFF_QUOTES 136, BROKER_BUSY 137, REQUOTE 138, ORDER_LOCKED 139, LONG_POS_ALLOWED 140,
TOO_MANY_REQUESTS 141, ORDER_ACCEPTED 142, ORDER_IN_PROCESS 143, REQUEST_CANCELLED 144,
MODIFICATIONS_DENIED 145, TRADE_CONTEXT_BUSY 146, EXPIRATION_DISABLED 147, TOO_MANY_ORDERS 148,
HEDGE_PROHIBITED 149, RPROHIBITED_FIFO 150, INVALID_TOKEN 256, INVALID_SYMBOL 257, INVALID_TICKET 258,
SAME_PARAMS 259, CONNECT_ERROR 260, TIMEOUT 261
"""
"""As MT4's bridge lists them."""
MT5_NAMES = """
REQUOTE 10004, REJECT 10006, CANCEL 10007, PLACED 10008, DONE 10009, DONE_PARTIAL 10010, ERROR 10011,
TIMEOUT 10012, INVALID 10013, INVALID_VOLUME 10014, INVALID_PRICE 10015, INVALID_STOPS 10016,
TRADE_DISABLED 10017, MARKET_CLOSED 10018, NO_MONEY 10019, PRICE_CHANGED 10020, PRICE_OFF 10021,
INVALID_EXPIRATION 10022, ORDER_CHANGED 10023, TOO_MANY_REQUESTS 10024, NO_CHANGES 10025,
SERVER_DISABLES_AT 10026, CLIENT_DISABLES_AT 10027, LOCKED 10028, FROZEN 10029, INVALID_FILL 10030,
CONNECTION 10031, ONLY_REAL 10032, LIMIT_ORDERS 10033, LIMIT_VOLUME 10034, INVALID_ORDER 10035,
POSITION_CLOSED 10036, INVALID_CLOSE_VOLUME 10038, CLOSE_ORDER_EXIST 10039, LIMIT_POSITIONS 10040,
REJECT_CANCEL 10041, LONG_ONLY 10042, SHORT_ONLY 10043, CLOSE_ONLY 10044, FIFO_CLOSE 10045,
HEDGE_PROHIBITED 10046
"""
"""As MetaQuotes documents them, without their prefix."""


@pytest.mark.parametrize(
    ("platform", "names"), [(Platform.MT4, MT4_NAMES), (Platform.MT5, MT5_NAMES)]
)
def test_a_name_means_what_its_number_does(platform: Platform, names: str) -> None:
    for name, number in (each.split() for each in names.split(",")):
        assert is_listed(name), name
        for call in CallKind:
            assert classify(platform, name, call) == classify(platform, number, call), name


@pytest.mark.parametrize(
    ("platform", "about", "codes"),
    [
        (Platform.MT4, "about_stops", {130, 10016}),
        (Platform.MT5, "about_stops", {130, 10016}),
        (Platform.MT4, "about_expiry", {147, 10022}),
        (Platform.MT5, "about_expiry", {147, 10022}),
        (Platform.MT4, "is_gone", {3, 258, 4108, 4753, 4754, 10036}),
        (Platform.MT5, "is_gone", {258, 4108, 4753, 4754, 10036}),
    ],
)
def test_what_a_refusal_is_about(platform: Platform, about: str, codes: set[int]) -> None:
    """An open without stops, an order without its expiry, or another look is what these lead to."""
    of = {number for number in range(11_000) if _says(platform, number, about)}
    assert of == codes


def _says(platform: Platform, number: int, about: str) -> bool:
    return bool(getattr(classify(platform, str(number), CallKind.MODIFY), about))


@pytest.mark.parametrize("platform", BOTH)
@pytest.mark.parametrize(
    "spellings",
    [
        ("NO_MONEY", "NOT_MONEY", "TRADE_RETCODE_NO_MONEY", "trade_retcode_no_money", " 10019 ", "134"),
        ("INVALID_STOPS", "INVALID_SL_TP", "TRADE_RETCODE_INVALID_STOPS", "10016", "130"),
        ("REQUOTE", "TRADE_RETCODE_REQUOTE", "ERR_REQUOTE", "10004", "138"),
        ("INVALID_VOLUME", "INVALID_TRADE_VOLUME", "10014", "131"),
    ],
)  # fmt: skip
def test_one_meaning_has_many_spellings(platform: Platform, spellings: tuple[str, ...]) -> None:
    for call in CallKind:
        assert len({classify(platform, code, call) for code in spellings}) == 1


@pytest.mark.parametrize(
    ("platform", "code", "wait_s"),
    [
        (Platform.MT4, "OFF_QUOTES", 5),
        (Platform.MT5, "PRICE_OFF", 5),
        (Platform.MT4, "145", 15),
        (Platform.MT4, "SERVER_BUSY", 60),
        (Platform.MT4, "TOO_FREQUENT_REQUEST", 5),
        (Platform.MT4, "MARKET_CLOSED", 5),
        (Platform.MT4, "ORDER_LOCKED", 5),
        (Platform.MT4, "TOO_MANY_REQUESTS", 5),
        (Platform.MT5, "MARKET_CLOSED", 5),
        (Platform.MT5, "TOO_MANY_REQUESTS", 5),
        (Platform.MT5, "FROZEN", 5),
        (Platform.MT4, "REQUOTE", 0),
    ],
)
def test_the_least_wait(platform: Platform, code: str, wait_s: float) -> None:
    assert classify(platform, code, CallKind.OPEN).wait_s >= wait_s


@pytest.mark.parametrize(
    "code", ["INVALID_ACCOUNT", "ACCOUNT_DISABLED", "INVALID_ONETIME_PASSWORD"]
)
def test_credentials_stop_the_account(code: str) -> None:
    assert code in CREDENTIALS
    for platform in BOTH:
        assert classify(platform, code, CallKind.OPEN).class_ is STOP_ACCOUNT


@given(platform=st.sampled_from(BOTH), call=st.sampled_from(CallKind), code=st.text(max_size=30))
def test_what_is_in_no_table_is_unknown(platform: Platform, call: CallKind, code: str) -> None:
    verdict = classify(platform, code, call)
    if not verdict.listed:
        assert not is_listed(code)
        assert verdict.class_ is (LATER if call is CallKind.READ else UNKNOWN)


@given(
    platform=st.sampled_from(BOTH),
    call=st.sampled_from([CallKind.CLOSE, CallKind.DELETE]),
    code=st.integers(min_value=0, max_value=11_000),
)
def test_a_close_is_never_given_up(platform: Platform, call: CallKind, code: int) -> None:
    assert classify(platform, str(code), call).class_ not in (STOP, STOP_ACCOUNT)
