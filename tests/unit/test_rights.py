"""Whose password is used, and in whose name something may be opened."""

from __future__ import annotations

import pytest
from copypro.codes import denied
from copypro.messages import Rights
from copypro.values import (
    AccountId,
    CopierId,
    MessageId,
    Platform,
    RegistrationId,
    Ticket,
    UserId,
)
from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.planned.live import Live
from copypro_account_watcher.state import Account, Origin, Registration, Removal

ME, OTHER, LEAVING = (RegistrationId(digit * 32) for digit in "123")


def registration(id_: str, rights: Rights, age: int = 0, **more: str) -> Registration:
    proved = "" if rights is Rights.NONE else f"sealed {age}"
    return Registration(
        registration=RegistrationId(id_),
        user=UserId("u"),
        name=id_,
        rights=rights,
        age=age,
        sealed_password=proved,
        **more,
    )


def account_of(*registrations: Registration) -> Account:
    return Account(
        account=AccountId("a"), platform=Platform.MT4, server="s", login=1, generation=1,
        registrations={known.registration: known for known in registrations},
    )  # fmt: skip


def used(*registrations: Registration) -> str | None:
    usable = account_of(*registrations).usable
    return None if usable is None else usable.registration


def test_the_newest_trading_password_is_used_then_the_newest_that_reads() -> None:
    old, new = registration("old", Rights.TRADE, 1), registration("new", Rights.TRADE, 3)
    reader = registration("reader", Rights.READ, 4)
    assert used(old, new, reader) == "new"
    assert used(registration("first", Rights.READ, 2), reader) == "reader"


def test_a_password_that_has_not_logged_in_is_never_used() -> None:
    waiting = registration("waiting", Rights.NONE, unproved="sealed")
    assert used(waiting) is None
    assert used(waiting, registration("reader", Rights.READ, 1)) == "reader"


def test_a_newer_password_that_waits_takes_nothing_from_the_one_before() -> None:
    changed = registration("changed", Rights.TRADE, 1, unproved="newer", refused="INVALID_ACCOUNT")
    assert used(changed) == "changed"


COPIER = CopierId("copier")


def live() -> Live:
    made = Live(Platform.MT4, WatcherLimits())
    leaving = registration(LEAVING, Rights.TRADE, 3)
    made.account = account_of(
        registration(ME, Rights.TRADE, 2), registration(OTHER, Rights.READ, 1), leaving
    )
    made.account.removals.append(Removal(LEAVING, False, Origin(MessageId("m"), MessageId("m"))))
    return made


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (ME, None),
        (OTHER, "READ_ONLY"),
        (LEAVING, "ACCOUNT_REMOVED"),
        (RegistrationId("gone"), "ACCOUNT_REMOVED"),
        (None, None),
    ],
)
def test_nothing_opens_in_a_name_without_the_right(
    name: RegistrationId | None, code: str | None
) -> None:
    denial = live().refuses(COPIER, name)
    assert (None if denial is None else denial.code) == code


def test_what_pauses_the_account_pauses_it_for_everybody() -> None:
    paused = live()
    paused.opens_off = denied("OTHER_COPIER", ticket=1)
    assert paused.refuses(COPIER, ME) == paused.opens_off


def test_a_halted_copier_opens_nothing_and_the_others_go_on() -> None:
    halted = live()
    assert halted.account is not None
    halted.account.halted[Ticket(7)] = COPIER
    assert halted.refuses(COPIER, ME) == denied("OPENS_PAUSED", ticket=7)
    assert halted.refuses(CopierId("another"), ME) is None
