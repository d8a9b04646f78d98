"""A symbol's name that is not the broker's own would say nothing: what was switched off would be traded,
and a mapping's lots would not count.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from copypro import collections as c
from copypro.ports import Upsert

from tests.contract.stores import SqlitePlace
from tests.gateway import SECRET_NAME, AnsweringLog, Calling, Doc, User, a_gateway, a_user

MASTERS = ["EURUSD", "GOLD"]
ECN = [f"{pair}ECN" for pair in ("GBPUSD", "USDJPY", "USDCHF", "AUDUSD", "USDCAD")]
SLAVES = [
    "EURUSD.m", "XAUUSD.m", "XAUUSD.raw", "USDCNH.m", "TSLA", "#KO", "USOIL", "US30m", "BTCUSDT",
    "BITCOINCASH", *ECN,
]  # fmt: skip
Asked = tuple[Calling, User]


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    place = SqlitePlace(tmp_path)
    models = await place.models()
    async with a_gateway(place, tmp_path, require_key=True, log=AnsweringLog(models)) as calling:
        user = await a_user(place, "mine")
        for number, (role, names) in enumerate((("master", MASTERS), ("slave", SLAVES))):
            account = f"mine-{role}".ljust(32, "0")
            piece: Doc = {"account": account, "piece": 0, "pieces": 1, "names": names}
            listed = Upsert(
                collection=c.SYMBOLS,
                id=f"{account}/0",
                source="symbols/0",
                version=number,
                fields=piece,
            )
            await models.upsert([listed])
        yield calling, user
    await place.close()


async def call(asked: Asked, path: str, **given: Any) -> str:
    """The message of what was refused; empty: it was taken."""
    calling, user = asked
    answer = await calling.call(path, given, key=user.key)
    message: str = answer.json().get("message", "")
    assert (answer.status_code == 400) is bool(message), answer.text
    return message


@pytest.mark.parametrize("field", ["on", "off"])
@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("XAUUSD.m,EURUSD.m", "is one symbol: repeat the name for each, or give a JSON list"),
        ("xauusd.M", "is not as the broker writes it, which is XAUUSD.m: see SymbolList"),
        ("eurusd", "is not as the broker writes it, which is EURUSD.m: see SymbolList"),
        ("KO", "is not as the broker writes it, which is #KO: see SymbolList"),
        ("US30", "is not as the broker writes it, which is US30m: see SymbolList"),
        ("gbpusd", "is not as the broker writes it, which is GBPUSDECN: see SymbolList"),
    ],
)
async def test_what_would_switch_nothing_off_is_refused(
    asked: Asked, field: str, written: str, told: str
) -> None:
    given = {"accountId": asked[1].ids["slave"], "enableAllSymbols": field == "off"}
    assert await call(asked, "/SymbolsEnable", **given, **{field: [written]}) == f"{field}: {told}"


async def test_what_the_account_has_and_what_only_others_have_is_taken(asked: Asked) -> None:
    """One list for all accounts: a near name is another symbol."""
    given = {"accountId": asked[1].ids["slave"], "enableAllSymbols": True}
    off = ["XAUUSD.m", "XAUUSD", "USDCNY.m", "BTC"]
    assert await call(asked, "/SymbolsEnable", **given, off=off) == ""


@pytest.mark.parametrize("name", ["T", "OIL", "LA", "US3", "BTCUSD", "BITCOIN"])
async def test_a_name_that_stands_in_another_s_is_another_symbol(asked: Asked, name: str) -> None:
    """AT&T is not Tesla, a tether no dollar, and oil at one broker is not one of the two oils of this one."""
    given = {"accountId": asked[1].ids["slave"], "enableAllSymbols": True}
    assert await call(asked, "/SymbolsEnable", **given, off=[name]) == ""


@pytest.mark.parametrize(
    ("master", "slave", "told"),
    [
        ("gold", "XAUUSD.m__0.2", "masterSymbol: is not as the broker writes it, which is GOLD"),
        ("GOLD", "xauusd__0.2", "slaveSymbol: is not as the broker writes it, which is XAUUSD.m"),
        ("GOLD", "XAUUSD.m__0.2", ""),
        ("SILVER", "NEW__0.2", ""),
        ("SILVER", "BTCUSD", ""),
    ],
)
async def test_a_mapping_of_symbols_that_nobody_has_so_is_refused(
    asked: Asked, master: str, slave: str, told: str
) -> None:
    given = {"id": asked[1].ids["copier"], "masterSymbol": master, "slaveSymbol": slave}
    message = await call(asked, "/AddSymbolMapping", **given)
    assert message.removesuffix(": see SymbolList") == told


async def test_a_mapping_that_is_written_otherwise_is_not_said_to_be_deleted(asked: Asked) -> None:
    """It would stand, and go on to choose the symbol and the lots. One that is gone is gone."""
    copier = {"id": asked[1].ids["copier"]}
    told = await call(asked, "/DeleteSymbolMapping", **copier, masterSymbol=SECRET_NAME.upper())
    assert told == f"masterSymbol: is mapped as {SECRET_NAME}: see MappedSymbols"
    for name in (SECRET_NAME, "SILVER"):
        assert await call(asked, "/DeleteSymbolMapping", **copier, masterSymbol=name) == ""
