"""`explain`: a ticket's whole story, from a master's or a slave's side."""

from __future__ import annotations

import msgspec
from copypro.values import Ticket
from copypro_standalone import story
from copypro_standalone.story import Fact, Story

from tests.unit.story_builders import (
    ACCOUNTS,
    COPY,
    MASTER,
    OTHER,
    ROOT,
    attempt,
    closed,
    copied,
    copy_closed,
    denied,
    opened,
    planned,
    reconciled,
    skipped,
    unresolved,
)

KNOWN = story.accounts(ACCOUNTS)


def tell(account: str, ticket: int, *facts: Fact) -> Story | None:
    (found,) = story.named(account, KNOWN)
    return story.tell(found, Ticket(ticket), KNOWN, facts)


def test_a_masters_ticket_tells_every_copier_s_decision() -> None:
    told = tell(
        "71", 501, opened(), skipped("FILTER_SIDE", side="Buy"), planned(), attempt(), copied()
    )

    assert told is not None
    assert (told.role, told.root) == ("master", ROOT)
    assert [entry.what.split(":")[0] for entry in told.entries] == [
        "seen live",
        "skipped",
        "planned as a trade, leg 0",
        "attempt 1 recorded before sending",
        "opened #7001",
    ]
    one, other = sorted(told.copies, key=lambda copy: copy.outcome)
    assert (one.outcome, one.numbers) == ("FILTER_SIDE", {"side": "Buy"})
    assert one.remedy == "something else"
    assert (other.outcome, other.tickets) == ("copied", (7001,))


def test_the_time_of_each_leg_is_told() -> None:
    told = tell("71", 501, opened(), planned(2), attempt(), copied(12))

    assert told is not None
    (copy,) = told.copies
    assert copy.legs_ms == {
        "planned": 2.0,
        "sent": 2.0,
        "filled": 6.0,
        "recorded": 2.0,
        "total": 12.0,
    }


def test_a_slaves_ticket_tells_its_own_copy_only_and_the_masters_part() -> None:
    facts = [
        opened(),
        skipped("PAUSED"),
        planned(),
        attempt(),
        copied(),
        closed(50),
        copy_closed(60),
    ]

    told = tell("83", 7001, *facts)

    assert told is not None
    assert told.role == "slave"
    assert not any("PAUSED" in entry.what for entry in told.entries)
    assert [copy.copy for copy in told.copies] == [COPY]
    assert told.copies[0].outcome == "copied and closed"
    assert told.entries[0].what.startswith("seen live: opened #501 Buy 0.10 EURUSD at 1.10000")
    assert "profit 19.40" in told.entries[-1].what


def test_an_unresolved_attempt_s_ticket_is_found_once_the_books_showed_it() -> None:
    told = tell("83", 7009, opened(), planned(), attempt(), unresolved(70), reconciled(90, 7009))

    assert told is not None
    assert [entry.what for entry in told.entries][-2:] == [
        "nobody knows whether it happened: no answer within 65 s",
        "found as #7009: by its tag in the open orders",
    ]
    assert told.copies[0].outcome == "copied"


def test_an_attempt_proven_absent_is_told_as_not_resent() -> None:
    told = tell("71", 501, opened(), planned(), attempt(), unresolved(70), reconciled(90, None))

    assert told is not None
    assert told.copies[0].outcome == "NOT_RESENT"


def test_a_denial_tells_its_numbers_and_what_would_let_it_pass() -> None:
    told = tell(
        "71", 501, opened(), planned(), denied("BELOW_MIN_LOT", raw="0.005", minimum="0.01")
    )

    assert told is not None
    entry = told.entries[-1]
    assert entry.what.startswith("denied: BELOW_MIN_LOT, the volume is below")
    assert entry.numbers == {"raw": "0.005", "minimum": "0.01"}
    assert entry.remedy == "something else"


def test_another_trade_s_facts_stay_out() -> None:
    other = opened(5, root=type(ROOT)("777"), ticket=777)

    told = tell("71", 501, opened(), other, planned(), copied(slave=OTHER, root=type(ROOT)("777")))

    assert told is not None
    assert len(told.entries) == 2


def test_a_ticket_nobody_saw_has_no_story() -> None:
    assert tell("71", 99, opened(), planned()) is None


def test_an_account_is_named_by_registration_id_account_id_or_login() -> None:
    for text in ("71", MASTER, "master" * 4):
        assert [account.id for account in story.named(text, KNOWN)] == [MASTER]
    assert story.named("7", KNOWN) == []


def test_a_story_goes_through_json() -> None:
    told = tell("83", 7001, opened(), planned(), attempt(), copied())

    assert told is not None
    again = msgspec.json.decode(msgspec.json.encode(told), type=Story)
    assert again == told
