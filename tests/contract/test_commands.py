"""What a call says of the commands it is made of: done, denied, or not visible yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from copypro import collections as c
from copypro import messages as m
from copypro.envelope import decode, fact, utc_now
from copypro.ports import Record, Upsert
from copypro_gateway.subjects.symbols import MOST_MAPPINGS
from copypro_stats.patch import Patch
from copypro_stats.projections import patches

from tests.contract.stores import Place, SqlitePlace
from tests.gateway import OPERATOR, AnsweringLog, Calling, User, a_gateway, a_user

INLINE = {
    "masterType": "MT5", "masterUser": 9, "masterPassword": "p", "masterServer": "Alpha-MT5",
}  # fmt: skip


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """What is answered is the same on every store."""
    made = SqlitePlace(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def log(place: Place) -> AnsweringLog:
    return AnsweringLog(await place.models())


@pytest.fixture
async def calling(place: Place, tmp_path: Path, log: AnsweringLog) -> AsyncIterator[Calling]:
    async with a_gateway(place, tmp_path, require_key=True, log=log) as made:
        yield made


@pytest.fixture
async def user(place: Place, calling: Calling) -> User:
    return await a_user(place, "mine")


async def put(place: Place, collection: str, documents: Mapping[str, Any]) -> None:
    models = await place.models()
    await models.upsert(
        [
            Upsert(collection=collection, id=id_, source="given/0", version=0, fields=fields)
            for id_, fields in documents.items()
        ]
    )


async def stored(place: Place, collection: str, id_: str) -> Any:
    return await (await place.models()).get(collection, id_)


def messages(log: AnsweringLog, topic: str) -> list[Any]:
    return [decode(record).message for record in log.all(topic)]


def kinds(log: AnsweringLog) -> list[str]:
    return [record.headers["type"] for record in commands(log)]


def commands(log: AnsweringLog) -> list[Record]:
    return [*log.all("copier-commands"), *log.all("account-commands")]


# --- Start ----------------------------------------------------------------------------------------


async def test_a_start_whose_account_is_still_being_added_says_that_it_did_not_start(
    calling: Calling, user: User, log: AnsweringLog
) -> None:
    log.unanswered.add("RegisterAccount")
    given = INLINE | {"slaveAccountId": user.ids["slave"]}
    answer = await calling.call("/Start", given, key=user.key)
    assert (answer.status_code, answer.json()["code"]) == (503, "NOT_STARTED"), answer.text
    (registered,) = commands(log)
    assert answer.json()["message"].startswith("masterUser: ")
    assert registered.headers["id"] in answer.json()["message"]


async def test_accounts_given_inline_are_meant_whatever_a_bridge_calls_them(
    calling: Calling, user: User, log: AnsweringLog
) -> None:
    """Clients of the original send the bridge's tokens beside: no account of ours has such an id."""
    log.unanswered.add("RegisterAccount")
    given = INLINE | {"masterApiId": "a bridge's token", "slaveApiId": user.ids["slave"]}
    answer = await calling.call("/Start", given, key=user.key)
    assert (answer.status_code, answer.json()["code"]) == (503, "NOT_STARTED"), answer.text
    assert kinds(log) == ["RegisterAccount"]


@pytest.mark.parametrize("call", ["Start", "StartByAccountId"])
async def test_fixed_lots_are_not_guessed(
    calling: Calling, user: User, log: AnsweringLog, call: str
) -> None:
    """1.0 is as the master's for a multiplier, and a hundred thousand units for a fixed lot."""
    pair = {"masterAccountId": user.ids["master"], "slaveAccountId": user.ids["slave"]}
    answer = await calling.call(f"/{call}", pair | {"riskType": "FixedLot"}, key=user.key)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PARAMETER"), answer.text
    assert answer.json()["message"].startswith("riskValue: FixedLot needs ")
    assert commands(log) == []


@pytest.mark.parametrize("side", ["masterAccountId", "slaveAccountId"])
async def test_an_account_that_is_not_there_is_told_by_its_side(
    calling: Calling, user: User, side: str
) -> None:
    pair = {"masterAccountId": user.ids["master"], "slaveAccountId": user.ids["slave"]}
    answer = await calling.call("/Start", pair | {side: "none"}, key=user.key)
    said = {"code": "UNKNOWN_ACCOUNT", "message": f"{side}: no such account: see Accounts"}
    assert (answer.status_code, answer.json()) == (404, said)


@pytest.mark.parametrize(
    ("call", "given", "message"),
    [
        ("OpenOrders", {"apiId": "none"}, "accountId: no such account: see Accounts"),
        ("GetCopier", {"id": "none"}, "id: no such copier: see UserCopiers"),
    ],
)
async def test_what_is_not_there_is_told_by_its_field_and_where_to_look(
    calling: Calling, user: User, call: str, given: dict[str, str], message: str
) -> None:
    answer = await calling.call(f"/{call}", given, key=user.key)
    assert (answer.status_code, answer.json()["message"]) == (404, message)


# --- RemoveAccount --------------------------------------------------------------------------------


async def test_an_account_is_removed_though_its_copier_was_already_stopped(
    calling: Calling, user: User, log: AnsweringLog
) -> None:
    log.codes["StopCopier"] = "UNKNOWN_COPIER"
    answer = await calling.call("/RemoveAccount", {"accountId": user.ids["master"]}, key=user.key)
    assert (answer.status_code, kinds(log)) == (200, ["StopCopier", "RemoveAccount"])


@pytest.mark.parametrize("unanswered", ["StopCopier", "RemoveAccount"])
async def test_what_is_not_visible_yet_is_asked_for_by_the_removals_own_command(
    calling: Calling, user: User, log: AnsweringLog, unanswered: str
) -> None:
    log.unanswered.add(unanswered)
    answer = await calling.call("/RemoveAccount", {"accountId": user.ids["master"]}, key=user.key)
    (_, removal) = commands(log)
    assert answer.status_code == 202
    assert answer.json()["commandId"] == removal.headers["id"]


async def test_an_accounts_copier_is_stopped_however_many_others_have(
    calling: Calling, user: User, log: AnsweringLog, place: Place
) -> None:
    mine = await stored(place, c.COPIERS, user.ids["copier"])
    theirs = {
        "user": "other", "master": mine["master"], "slave": "s", "master_registration": "other",
        "slave_registration": "other",
    }  # fmt: skip
    await put(place, c.COPIERS, {f"!{number:05}": theirs for number in range(1001)})
    await calling.call("/RemoveAccount", {"accountId": user.ids["master"]}, key=user.key)
    (stop,) = messages(log, "copier-commands")
    assert stop.copier == user.ids["copier"]


# --- UnPauseAll -----------------------------------------------------------------------------------


async def test_unpausing_all_leaves_what_may_not_run_and_what_is_paused_otherwise_by_now(
    calling: Calling, user: User, log: AnsweringLog, place: Place
) -> None:
    mine = await stored(place, c.COPIERS, user.ids["copier"])
    slave = await stored(place, c.REGISTRATIONS, user.ids["slave"])
    master = await stored(place, c.REGISTRATIONS, user.ids["master"])
    protector = {"tripped": {"rule": "r"}, "settings": {"disable_copier": True}}
    await put(
        place,
        c.REGISTRATIONS,
        {
            "guarded": slave | {"protector": protector},
            "disabled": master | {"enabled": False},
            "refused": master | {"rights": "none", "proof": "refused"},
        },
    )
    may_not: tuple[dict[str, Any], ...] = (
        {"slave_registration": "guarded"},
        {"master_registration": "disabled"},
        {"master_registration": "refused"},
        {"master_registration": "removed"},
    )
    paused = {"paused": True, "pause_reason": "ByOperator"}
    copiers = {f"copier-{at}": mine | paused | one for at, one in enumerate(({}, *may_not))}
    await put(place, c.COPIERS, copiers)
    answer = await calling.call("/Manager/UnPauseAll", key=OPERATOR)
    assert answer.json() == {"result": "OK", "resumed": 1, "stayed": 4}, answer.text
    (resume,) = messages(log, "copier-commands")
    assert (resume.copier, resume.only_from) == ("copier-0", "ByOperator")
    log.codes["ResumeCopier"] = "PAUSED_OTHERWISE"
    answer = await calling.call("/Manager/UnPauseAll", key=OPERATOR)
    assert answer.json() == {"result": "OK", "resumed": 0, "stayed": 5}, answer.text


async def test_a_resume_that_crosses_what_pauses_the_copier_anyway_is_told_as_none(
    calling: Calling, user: User, log: AnsweringLog, place: Place
) -> None:
    """The master is removed between the gateway's look and the command: the copier stays paused."""
    mine = await stored(place, c.COPIERS, user.ids["copier"])
    paused = mine | {"paused": True, "pause_reason": "ByOperator"}
    await put(place, c.COPIERS, {"copier-0": paused})
    log.events["ResumeCopier"] = "CopierPaused"
    answer = await calling.call("/Manager/UnPauseAll", key=OPERATOR)
    assert answer.json() == {"result": "OK", "resumed": 0, "stayed": 1}, answer.text
    one = {"copierId": "copier-0", "paused": False}
    answer = await calling.call("/CopierPause", one, key=user.key)
    assert (answer.status_code, answer.json()["code"]) == (409, "PAUSED_OTHERWISE"), answer.text


# --- Start ----------------------------------------------------------------------------------------


async def test_a_start_resumes_no_copier_that_the_slaves_protector_keeps_paused(
    calling: Calling, user: User, log: AnsweringLog, place: Place
) -> None:
    """The same pair again is the same copier: started, it would be shown as running, and open nothing."""
    slave = await stored(place, c.REGISTRATIONS, user.ids["slave"])
    protector = {"tripped": {"rule": "r"}, "settings": {"disable_copier": True}}
    await put(place, c.REGISTRATIONS, {"guarded": slave | {"protector": protector}})
    given = {"masterAccountId": user.ids["master"], "slaveAccountId": "guarded"}
    answer = await calling.call("/Start", given, key=user.key)
    assert (answer.status_code, answer.json()["code"]) == (409, "EQUITY_PROTECTION")
    assert commands(log) == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"filterCommentOption": "Ignore"}, "filterCommentValue"),
        (INLINE | {"masterServer": "  "}, "server"),
    ],
)
async def test_a_start_that_could_copy_nothing_is_refused_by_name(
    calling: Calling, user: User, log: AnsweringLog, given: dict[str, Any], field: str
) -> None:
    """An empty text is in every comment, and no server has a name of blanks."""
    whole = {"slaveAccountId": user.ids["slave"]} | given
    if "masterServer" not in given:
        whole["masterAccountId"] = user.ids["master"]
    answer = await calling.call("/Start", whole, key=user.key)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PARAMETER"), answer.text
    assert field in answer.json()["message"]
    assert commands(log) == []


@pytest.mark.parametrize("left_out", ["riskType", "riskValue"])
async def test_an_update_that_says_nothing_of_the_size_does_not_set_it_to_the_masters(
    calling: Calling, user: User, log: AnsweringLog, left_out: str
) -> None:
    """The options are given whole, and a fixed lot of 0.01 is not to become a multiplier of 1."""
    given = {"riskType": "FixedLot", "riskValue": "0.01", "reverseCopy": True}
    del given[left_out]
    answer = await calling.call("/UpdateCopier", given | {"id": user.ids["copier"]}, key=user.key)
    assert answer.status_code == 400
    assert answer.json()["message"] == f"{left_out}: is required"
    assert commands(log) == []


# --- SymbolList -----------------------------------------------------------------------------------


async def test_a_broker_that_lists_fewer_symbols_than_before_has_no_others(
    calling: Calling, user: User, place: Place
) -> None:
    account = (await stored(place, c.REGISTRATIONS, user.ids["slave"]))["account"]
    lists = [[f"S{number:02}.{of}" for number in range(12)] for of in ("old", "new")]
    records = [
        m.AccountSymbols(account=account, piece=piece, pieces=len(names), names=(name,))
        for names in (lists[0], lists[1][:11])
        for piece, name in enumerate(names)
    ]
    made = [
        Patch(c.SYMBOLS, f"{account}/{each.piece}", patch.fields)
        for each in records
        for patch in patches(Record("account-symbols", 0, 0, "k", b"", {}), fact(each, utc_now()))
    ]
    await put(place, c.SYMBOLS, {patch.id: patch.fields for patch in made})
    answer = await calling.call("/SymbolList", {"accountId": user.ids["slave"]}, key=user.key)
    assert answer.json() == lists[1][:11]


# --- Settle ---------------------------------------------------------------------------------------


async def test_an_attempt_that_did_not_open_has_no_ticket(
    calling: Calling, user: User, log: AnsweringLog
) -> None:
    given = {"accountId": user.ids["slave"], "attempt": user.ids["attempt"], "found": False}
    answer = await calling.call("/Settle", given | {"ticket": 7}, key=user.key)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("found: ")
    assert commands(log) == []
    assert (await calling.call("/Settle", given, key=user.key)).status_code == 200
    (settled,) = messages(log, "account-commands")
    assert (settled.attempt, settled.ticket) == (user.ids["attempt"], None)


# --- symbol mappings ------------------------------------------------------------------------------


async def test_a_copiers_mappings_are_bounded_and_those_that_are_there_may_be_changed(
    place: Place, calling: Calling, user: User
) -> None:
    """All of them are one record, which must never be larger than a log takes."""
    rows = [{"master_symbol": f"{n}", "slave_symbol": "X"} for n in range(MOST_MAPPINGS)]
    full = Upsert(
        collection=c.COPIERS,
        id=user.ids["copier"],
        source="newest/0",
        version=0,
        fields={"mappings": rows},
    )
    await (await place.models()).upsert([full])
    given = {"id": user.ids["copier"], "masterSymbol": "other", "slaveSymbol": "Y"}
    answer = await calling.call("/AddSymbolMapping", given, key=user.key)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PARAMETER")
    answer = await calling.call("/AddSymbolMapping", given | {"masterSymbol": "0"}, key=user.key)
    assert answer.json() == {"result": "OK"}


@pytest.mark.parametrize("lots", ["NaN", "sNaN", "Infinity", "-1", "1e400", "x"])
async def test_lots_behind_a_symbols_name_that_are_none_are_refused(
    calling: Calling, user: User, lots: str
) -> None:
    given = {"id": user.ids["copier"], "masterSymbol": "X", "slaveSymbol": f"X__{lots}"}
    answer = await calling.call("/AddSymbolMapping", given, key=user.key)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PARAMETER")


async def test_lots_without_a_symbol_map_nothing(calling: Calling, user: User) -> None:
    """Every trade in the symbol would be denied for a symbol of no name."""
    given = {"id": user.ids["copier"], "masterSymbol": "X", "slaveSymbol": "__0.2"}
    answer = await calling.call("/AddSymbolMapping", given, key=user.key)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("slaveSymbol: ")
