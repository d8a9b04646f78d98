"""A parameter's name that is nearly one of its call's: what was meant would have its default, ten times the
lots, an account's protector off or a filter that filters nothing. What calls and names there are is read
from the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.contract.stores import Place, SqlitePlace
from tests.gateway import OPERATOR, Calling, a_gateway, a_user

ANSWERS_SENT_BACK = {
    "Start": ("Copier",),
    "StartByAccountId": ("Copier", "Started"),
    "UpdateCopier": ("Copier",),
    "CopierPause": ("Copier",),
    "Remove": ("Copier", "ManagedCopier", "Started"),
    "AddAccount": ("Account",),
    "UpdateAccount": ("Account", "DetailedAccount"),
    "AccountSetEnabled": ("Account",),
    "ChangePassword": ("Account",),
    "RemoveAccount": ("Account",),
    "SymbolsEnable": ("SymbolChoice", "Account"),
    "UpdateEquityProtector": ("EquityProtector", "Account"),
    "UpdateEquityProtectorCallback": ("EquityProtector", "Account"),
    "AddSymbolMapping": ("MappedSymbol", "Copier"),
    "DeleteSymbolMapping": ("MappedSymbol", "Copier"),
    "Settle": ("Alert", "UnresolvedAttempt"),
    "RemoveKey": ("KeyListed", "KeyAdded"),
    "GetAccount": ("Account", "DetailedAccount", "Imported", "AccountOrders"),
    "OpenOrders": ("Account", "AccountOrders"),
    "ClosedOrders": ("Account", "AccountOrders"),
    "TradeStatsByAccountId": ("Account", "AccountOrders"),
    "GetCopier": ("Copier", "Started"),
    "Logs": ("Copier", "Started", "TradeLog"),
    "TradeLogs": ("Copier", "Started", "TradeLog"),
    "CopyQuality": ("Copier", "Started", "Account"),
}
"""Clients read what there is, change a field and send it whole."""


@pytest.fixture
async def calling(tmp_path: Path) -> AsyncIterator[Calling]:
    place: Place = SqlitePlace(tmp_path)
    async with a_gateway(place, tmp_path, require_key=True) as made:
        yield made
    await place.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_copier_is_not_started_with_a_default_in_place_of_what_was_meant(
    tmp_path: Path, method: str
) -> None:
    place = SqlitePlace(tmp_path)
    async with a_gateway(place, tmp_path, require_key=True) as calling:
        user = await a_user(place, "mine")
        pair = {"masterAccountId": user.ids["master"], "slaveAccountId": user.ids["slave"]}
        given = pair | {"riskValu": "0.1"}
        answer = await calling.call("/Start", given, key=user.key, method=method)
        assert answer.status_code == 400
        assert answer.json() == {
            "code": "INVALID_PARAMETER",
            "message": "riskvalu: is no parameter of this call: riskValue is",
        }
        given = pair | {"colour": "red", "riskValue": "0.1"}
        answer = await calling.call("/Start", given, key=user.key, method=method)
        assert answer.status_code == 202, answer.text
    await place.close()


async def test_a_slip_in_any_name_of_any_call_is_told(calling: Calling) -> None:
    tried = 0
    for path, names in all_calls(calling):
        for name in names:
            if len(name) < 3:
                continue
            slip = name[:-2] + name[-1]
            answer = await calling.call(path, {slip: "1"}, key=OPERATOR)
            assert answer.status_code == 400, (path, slip)
            assert answer.json()["message"].startswith(f"{slip.lower()}: is no parameter"), (
                path,
                slip,
            )
            tried += 1
    assert tried > 350


async def test_no_name_that_any_call_takes_is_a_slip(calling: Calling) -> None:
    """The original's clients send what another of its calls takes, and it is ignored, as there."""
    known = {name: "" for _, names in all_calls(calling) for name in names}
    for path, _ in all_calls(calling):
        answer = await calling.call(path, known, key=OPERATOR)
        assert "is no parameter" not in answer.text, (path, answer.text)


async def test_no_name_of_an_answer_that_is_sent_back_is_a_slip(calling: Calling) -> None:
    shapes = calling.app.openapi()["components"]["schemas"]
    for call, answers in ANSWERS_SENT_BACK.items():
        for each in answers:
            whole = dict.fromkeys(shapes[each]["properties"], "")
            answer = await calling.call(f"/{call}", whole, key=OPERATOR)
            assert "is no parameter" not in answer.text, (call, each, answer.text)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"copier": "7"}, "copier: is no parameter of this call: copierId is"),
        ({"account": "7"}, "account: is no parameter of this call: accountId is"),
        ({"account": "7", "id": "8"}, "account: is no parameter of this call: accountId is"),
    ],
)
async def test_what_answers_have_beside_an_id_is_a_slip_without_it(
    calling: Calling, given: dict[str, str], told: str
) -> None:
    """All copiers' quality was the answer, in place of that one's."""
    answer = await calling.call("/CopyQuality", given, key=OPERATOR)
    assert (answer.status_code, answer.json()["message"]) == (400, told)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_is_like_no_name_of_the_call_is_ignored(calling: Calling, method: str) -> None:
    """Clients add what keeps their answers from being kept on the way, and what their own servers read."""
    given = dict.fromkeys(("_", "t", "ts", "time", "nocache", "v", "token", "format", "lang"), "1")
    answer = await calling.call("/Manager/Users", given, key=OPERATOR, method=method)
    assert answer.status_code == 200, answer.text


def all_calls(calling: Calling) -> Iterator[tuple[str, list[str]]]:
    """Those that take parameters, with the names of these."""
    for path, methods in calling.paths.items():
        if "get" in methods and "post" in methods and "{" not in path:
            parameters = methods["get"].get("parameters", [])
            yield path, [each["name"] for each in parameters if each["in"] == "query"]
