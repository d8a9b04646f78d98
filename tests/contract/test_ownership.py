"""One user tries every id of another on every call there is; a call without a row here fails.

All are refused as an id is that nobody has, and nothing of the other is in any answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from copypro_gateway.entry.scopes import RULES, rule_of

from tests.contract.stores import Place
from tests.gateway import OPERATOR, SECRET_NAME, Calling, User, a_gateway, a_user

UNKNOWN = "f" * 32
OPEN = frozenset(
    (
        "/SignUp", "/SignUpNonHashed", "/SignIn", "/PasswordForgot", "/PasswordReset", "/Headers",
        "/ReadMe",
    )
)  # fmt: skip
"""They are about nobody's data."""
OPERATORS = frozenset(
    (
        "/ReplayDeadLetter", "/GetUserByEmail", "/Manager/Users", "/Manager/Accounts",
        "/Manager/UserAccounts",
        "/Manager/Copiers", "/Manager/UserCopiers", "/Manager/CopierLogs",
        "/Manager/RemovedCopiers", "/Manager/UserRemovedCopiers",
        "/Manager/UserFailedAddAccounts", "/Manager/UserFailedStarts",
        "/Manager/CopierTradeLogs", "/Manager/TogglePauseCopier", "/Manager/UnPauseAll",
        "/Manager/Users",
    )
)  # fmt: skip
ACCOUNT, COPIER = {"accountId": "slave"}, {"id": "copier"}
ROWS: dict[str, dict[str, str]] = {
    "/Accounts": {},
    "/AccountsWithSummary": {},
    "/AccountsWithTradeSummary": {},
    "/AddAccount": {},
    "/AddKey": {},
    "/Alerts": {},
    "/ClosedOrdersAll": {},
    "/ImportStatement": {},
    "/Keys": {},
    "/OpenOrdersAll": {},
    "/ServerNames": {},
    "/TradeLogsAll": {},
    "/Unresolved": {},
    "/UserCopiers": {},
    "/AccountSetEnabled": ACCOUNT,
    "/AccountWithSummary": ACCOUNT,
    "/AccountWithTradeSummary": ACCOUNT,
    "/ChangePassword": ACCOUNT,
    "/ChangePasswordByApiId": ACCOUNT,
    "/ClosedOrders": ACCOUNT,
    "/GetAccount": ACCOUNT,
    "/OpenOrders": ACCOUNT,
    "/RemoveAccount": ACCOUNT,
    "/RemoveAccountByApiId": ACCOUNT,
    "/Settle": ACCOUNT | {"attempt": "attempt"},
    "/SymbolList": ACCOUNT,
    "/SymbolParamsLite": ACCOUNT,
    "/SymbolsEnable": ACCOUNT,
    "/TradeStatsByAccountId": ACCOUNT,
    "/TradeStatsByApiId": ACCOUNT,
    "/TradeStatsWithoutCharts": ACCOUNT,
    "/CopyQuality": ACCOUNT,
    "/UpdateAccount": ACCOUNT,
    "/UpdateEquityProtector": ACCOUNT,
    "/UpdateEquityProtectorCallback": ACCOUNT,
    "/TestEquityProtectorCallback": ACCOUNT,
    "/SetTradeLogCallback": COPIER,
    "/TestTradeLogCallback": COPIER,
    "/AddSymbolMapping": COPIER,
    "/CopierPause": COPIER,
    "/DeleteSymbolMapping": COPIER,
    "/GetCopier": COPIER,
    "/Logs": COPIER,
    "/MappedSymbols": COPIER,
    "/Remove": COPIER,
    "/TradeLogs": COPIER,
    "/UpdateCopier": COPIER,
    "/RemoveKey": {"id": "key"},
    "/Start": {"masterAccountId": "master", "slaveAccountId": "slave"},
    "/StartByAccountId": {"masterAccountId": "master", "slaveAccountId": "slave"},
    "/Commands/{command}": {"command": "command"},
}
"""By call: which of the other's ids each parameter that takes one is given."""
MORE: dict[str, Any] = {
    "paused": True, "newPassword": "p", "masterSymbol": "A", "slaveSymbol": "B",
    "enableAllSymbols": True, "type": "MT5", "user": 9, "password": "p", "server": "s", "name": "n",
    "riskType": "FixedLot", "riskValue": "1",
}  # fmt: skip
"""What calls need besides."""


@pytest.fixture
async def calling(place: Place, tmp_path: Path) -> AsyncIterator[Calling]:
    async with a_gateway(place, tmp_path, require_key=True) as made:
        yield made


async def test_nothing_of_another_user_is_seen_or_changed(calling: Calling, place: Place) -> None:
    hers = await a_user(place, "hers")
    mine = await a_user(place, "mine")
    taken = await calling.call("/Remove", {"id": hers.ids["copier"]}, key=hers.key)
    assert taken.status_code == 202, "she may"
    hers.ids["command"] = taken.json()["commandId"]
    assert calling.paths.keys() - OPEN - OPERATORS == ROWS.keys(), "every call has its row"
    for path, ids in ROWS.items():
        for method in calling.paths[path]:
            await tried(calling, path, method.upper(), ids, mine, hers)
    for path in OPERATORS:
        theirs = {
            "userId": hers.ids["user"], "id": hers.ids["copier"], "copierId": hers.ids["copier"],
            "email": hers.ids["email"], "topic": "audit", "partition": 0, "offset": 0,
        }  # fmt: skip
        refused = await calling.call(path, filled(calling, path, {}) | theirs, key=mine.key)
        assert refused.status_code == 401, path
    (removal,) = records(calling, "copier-commands")
    assert removal.headers["id"] == hers.ids["command"], "her own"
    commands = records(calling, "account-commands")
    assert {record.headers["type"] for record in commands} == {"RegisterAccount"}, "my own"


async def tried(
    calling: Calling, path: str, method: str, ids: dict[str, str], mine: User, hers: User
) -> None:
    theirs = {name: hers.ids[what] for name, what in ids.items()}
    unknown = dict.fromkeys(ids, UNKNOWN)
    answers = []
    for given in (theirs, unknown):
        body = filled(calling, path, given)
        answer = await calling.call(path.format(**given), body, key=mine.key, method=method)
        assert answer.status_code < 500, (path, answer.text)
        answers.append((answer.status_code, answer.text.replace(str(given.get("command")), "id")))
        without = await calling.call(path.format(**given), body, method=method)
        assert without.status_code == 401, (path, "without a key")
        assert without.json()["code"] == "USER_KEY_REQUIRED"
    assert not ids or answers[0] == answers[1], path
    for one_of_hers in (*hers.ids.values(), f"{SECRET_NAME} hers", "hers-server"):
        assert one_of_hers not in answers[0][1], path
    if ids and "{" not in path:
        assert answers[0][0] == 404, (path, answers[0])


def filled(calling: Calling, path: str, given: dict[str, Any]) -> dict[str, Any]:
    parameters = {
        each["name"] for each in next(iter(calling.paths[path].values())).get("parameters", ())
    }
    return {name: value for name, value in MORE.items() if name in parameters} | given


def records(calling: Calling, topic: str) -> list[Any]:
    return [record for part in calling.log.records.get(topic, []) for record in part]


async def test_every_call_has_a_rule_and_every_change_is_audited(calling: Calling) -> None:
    names = {path.strip("/").partition("/{")[0] for path in calling.paths}
    assert names - RULES.keys() == {"Headers", "ReadMe"}
    for path, methods in calling.paths.items():
        parameters = next(iter(methods.values())).get("parameters", ())
        if any(each["name"] == "Idempotency-Key" for each in parameters):
            assert rule_of(path.strip("/")).audited, path


async def test_an_operators_key_is_no_users_key(calling: Calling) -> None:
    for path in ROWS:
        body = filled(calling, path, {})
        method = next(iter(calling.paths[path])).upper()
        answer = await calling.call(path.format(command=UNKNOWN), body, key=OPERATOR, method=method)
        assert answer.status_code in ((200,) if "{" in path else (400, 401)), (path, answer.text)


@pytest.mark.parametrize("as_header", [True, False])
async def test_an_operators_key_counts_beside_a_users_key(
    calling: Calling, place: Place, as_header: bool
) -> None:
    """Clients of the original send both with Manager/…."""
    mine = await a_user(place, "mine")
    given = {"managerKey": OPERATOR} | ({} if as_header else {"userKey": mine.key})
    key = mine.key if as_header else ""
    answer = await calling.call("/Manager/Users", given, key=key)
    assert answer.status_code == 200, answer.text
    answer = await calling.call("/Manager/Users", {**given, "managerKey": "none"}, key=key)
    assert (answer.status_code, answer.json()["code"]) == (401, "OPERATOR_KEY_INVALID")
