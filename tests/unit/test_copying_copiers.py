"""The life of a copier: each command ends in exactly one event that it caused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from copypro import messages as m
from copypro.callbacks import Callback
from copypro.messages import OpenCopies, StopReason
from copypro.options import CopierOptions, PendingMode, SideFilter, SymbolMapping
from copypro.protection import PAUSE_REASON
from copypro.values import CopierId, RegistrationId, RootId, UserId
from copypro_replicator.state import REMOVED, BarredRecord
from msgspec.structs import replace

from tests.unit.copying_builders import (
    COPIER,
    COPY,
    MASTER,
    OTHER_MASTER,
    SECOND,
    SLAVE,
    SLAVES,
    T0,
    D,
    account_removed,
    at,
    closed,
    closed_unseen,
    copy_of,
    desk,
    increased,
    missed,
    names,
    only,
    opened,
    pause,
    placed,
    reduced,
    resume,
    start,
    stop,
)

CALLBACK = Callback(registration=RegistrationId("m" * 32), sealed="s", shown="https://example.org")
MAPPING = SymbolMapping(master_symbol="EURUSD", slave_symbol="EURUSD.x")


def test_a_start_says_from_which_event_on_it_takes_effect() -> None:
    given = desk(opened(), opened(RootId("502")))
    outputs = given.when(start(), unread=3)
    started = only(outputs, m.CopierStarted)
    assert (started.order_offset, started.started_at_utc) == (5, T0)
    assert (started.state.copier, started.state.master) == (COPIER, MASTER)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (start(slave=MASTER), "SAME_ACCOUNT"),
        (start(SECOND, user=UserId("somebody")), "PAIR_IN_USE"),
        (start(COPIER, slave=SLAVES[1]), "COPIER_IN_USE"),
        (pause(SECOND), "UNKNOWN_COPIER"),
        (resume(SECOND), "UNKNOWN_COPIER"),
        (stop(SECOND), "UNKNOWN_COPIER"),
        (m.UpdateCopier(copier=SECOND, master=MASTER, options=CopierOptions()), "UNKNOWN_COPIER"),
        (m.MapSymbol(copier=SECOND, master=MASTER, mapping=MAPPING), "UNKNOWN_COPIER"),
        (m.UnmapSymbol(copier=SECOND, master=MASTER, master_symbol="X"), "UNKNOWN_COPIER"),
        (m.PauseCopier(copier=COPIER, master=OTHER_MASTER, reason=""), "UNKNOWN_COPIER"),
    ],
)
def test_a_command_that_changes_nothing_is_denied_with_a_reason(command: Any, code: str) -> None:
    given = desk(start())
    before = dict(given.state)
    outputs = given.when(command)
    assert names(outputs) == [code]
    assert outputs[0].message
    assert given.state == before


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (start(SECOND, slave=SLAVES[1]), m.CopierStarted),
        (start(SECOND), m.CopierStarted),
        (pause(), m.CopierPaused),
        (resume(), m.CopierResumed),
        (m.UpdateCopier(copier=COPIER, master=MASTER, options=CopierOptions()), m.CopierUpdated),
        (m.MapSymbol(copier=COPIER, master=MASTER, mapping=MAPPING), m.CopierUpdated),
        (m.UnmapSymbol(copier=COPIER, master=MASTER, master_symbol="X"), m.CopierUpdated),
        (m.SetTradeLogCallback(copier=COPIER, master=MASTER, callback=CALLBACK), m.CopierUpdated),
        (stop(), m.CopierStopped),
    ],
)
def test_a_command_ends_in_one_event_that_names_it(command: Any, event: type) -> None:
    given = desk(start())
    outputs = given.when(command)
    assert [type(output) for output in outputs] == [event]
    started, ended = given.told
    assert ended.cause != started.cause
    assert ended.cause == ended.correlation


def test_the_same_pair_again_is_the_same_copier_with_new_options() -> None:
    given = desk(start(mappings=(MAPPING,)), opened(), pause())
    given.now = at(60)
    started = only(given.when(start(SECOND, risk_value=D(2))), m.CopierStarted)
    assert started.state.copier == COPIER
    assert (started.state.options.risk_value, started.state.paused) == (D(2), False)
    assert started.state.mappings == (MAPPING,)
    assert (started.order_offset, started.started_at_utc) == (0, T0)
    order = only(given.when(opened(RootId("502"))), m.OpenCopy)
    assert (order.copier, order.options.risk_value) == (COPIER, D(2))
    assert names(given.when(closed())) == ["CloseCopy"]


def test_a_pair_that_is_started_again_keeps_whom_it_tells_of_its_trades() -> None:
    tells = m.SetTradeLogCallback(copier=COPIER, master=MASTER, callback=CALLBACK)
    started = only(desk(start(), tells).when(start(SECOND)), m.CopierStarted)
    assert started.state.callback == CALLBACK


def test_a_pause_by_a_protector_leaves_what_is_paused_already() -> None:
    """Else its next day would resume what a person had paused."""
    given = desk(start(), pause())
    protecting = m.PauseCopier(
        copier=COPIER, master=MASTER, reason=PAUSE_REASON, unless_paused=True
    )
    assert names(given.when(protecting)) == ["ALREADY_PAUSED"]
    its_next_day = m.ResumeCopier(copier=COPIER, master=MASTER, only_from=PAUSE_REASON)
    assert names(given.when(its_next_day)) == ["PAUSED_OTHERWISE"]
    outputs = given.each(resume(), protecting, pause())
    assert names(outputs) == ["CopierResumed", "CopierPaused", "CopierPaused"]
    assert names(given.when(its_next_day)) == ["PAUSED_OTHERWISE"]


def test_new_options_and_mappings_apply_to_later_trades() -> None:
    given = desk(start())
    options = CopierOptions(risk_value=D("0.1"))
    given.when(m.UpdateCopier(copier=COPIER, master=MASTER, options=options))
    given.when(m.MapSymbol(copier=COPIER, master=MASTER, mapping=MAPPING))
    order = only(given.when(opened()), m.OpenCopy)
    assert (order.options, order.mapping) == (options, MAPPING)
    given.when(m.UnmapSymbol(copier=COPIER, master=MASTER, master_symbol="EURUSD"))
    assert only(given.when(increased()), m.OpenCopy).mapping is None


def test_a_symbol_mapped_again_has_one_mapping() -> None:
    given = desk(start(mappings=(MAPPING,)))
    newer = SymbolMapping(master_symbol="EURUSD", slave_symbol="EURUSD.pro")
    updated = only(
        given.when(m.MapSymbol(copier=COPIER, master=MASTER, mapping=newer)), m.CopierUpdated
    )
    assert updated.state.mappings == (newer,)


# --- stop -----------------------------------------------------------------------------------------


def test_stop_and_follow_goes_on_until_flat() -> None:
    given = desk(start(), opened())
    stopped, nothing_more = given.when(stop())
    assert names([stopped, nothing_more]) == ["CopierStopped", "RemovePendingCopy"]
    assert nothing_more.opens_nothing, "what waits on the slave is not what the copier has opened"
    assert given.when(opened(RootId("502"))) == []
    assert names(given.each(reduced("0.5"), closed())) == ["ReduceCopy", "CloseCopy"]


def test_stop_and_close_closes_each_open_copy() -> None:
    given = desk(start(), start(SECOND, slave=SLAVES[1]), opened(), opened(RootId("502")))
    given.each(pause(), opened(RootId("503")))
    outputs = given.when(stop(open_copies=OpenCopies.CLOSE))
    assert names(outputs) == ["CopierStopped", "CloseCopy", "CloseCopy"]
    assert {o.slave for o in outputs} == {SLAVE}
    assert {o.copy for o in outputs[1:]} == {COPY, copy_of(SLAVE, RootId("502"))}
    assert [o.slave for o in given.when(closed())] == [SLAVES[1]]


def test_a_stop_ends_what_a_former_copier_left_also_where_there_is_what_it_never_joined() -> None:
    given = desk(opened(RootId("500")), start(), opened(), stop())
    again = start(SECOND, copy_existing_trades=True, paused=True)
    assert names(given.when(again)) == ["CopierStarted", "ALREADY_COPIED"]
    outputs = given.when(stop(SECOND, OpenCopies.CLOSE))
    assert names(outputs) == ["CopierStopped", "COPIER_STOPPED", "CloseCopy"]
    assert outputs[2].copy == COPY


def test_stop_and_leave_detaches_each_open_copy() -> None:
    given = desk(start(), opened())
    outputs = given.when(stop(open_copies=OpenCopies.LEAVE))
    assert names(outputs) == ["CopierStopped", "DetachCopy"]
    assert outputs[1].reason == "COPIER_STOPPED"
    assert given.when(closed()) == []


def test_no_pair_copies_a_root_twice_also_after_stop_and_start() -> None:
    for fate in OpenCopies:
        given = desk(start(), opened(), stop(open_copies=fate))
        given.restart()
        outputs = given.when(start(SECOND, copy_existing_trades=True))
        assert names(outputs) == ["CopierStarted", "ALREADY_COPIED"], fate
        assert outputs[1].numbers == {"by_copier": COPIER}
        assert only(given.when(opened(RootId("502"))), m.OpenCopy).copier == SECOND
        leg = given.when(increased())
        skips = [(SECOND, "ALREADY_COPIED")]
        if fate is OpenCopies.FOLLOW:
            skips.append((COPIER, "COPIER_STOPPED"))
        assert [(skip.copier, skip.code) for skip in leg] == skips


def test_what_was_left_is_not_grown_by_a_copier_that_was_given_the_former_ones_id() -> None:
    given = desk(start(), opened(), stop(open_copies=OpenCopies.LEAVE), start())
    assert names(given.when(increased())) == ["ALREADY_COPIED"]


def test_what_the_pair_only_skipped_may_be_joined_by_its_next_copier() -> None:
    given = desk(opened(), start())
    given.when(stop())
    outputs = given.when(start(SECOND, copy_existing_trades=True))
    assert names(outputs) == ["CopierStarted", "CopyPlanned", "OpenCopy"]


def test_a_stop_closes_what_a_former_copier_of_the_pair_left_to_follow() -> None:
    given = desk(start(), opened(), stop(), start(SECOND))
    outputs = given.when(stop(SECOND, OpenCopies.CLOSE))
    assert names(outputs) == ["CopierStopped", "CloseCopy"]


def test_what_a_former_copier_of_the_pair_left_to_follow_is_not_left_by_the_next_one() -> None:
    """Another user's: its registration goes, and the accounts stay. Nobody would close it any more."""
    given = desk(start(), opened(), stop(), start(SECOND), opened(RootId("502")))
    leave = stop(SECOND, OpenCopies.LEAVE, reason=StopReason.MASTER_REMOVED)
    outputs = given.when(leave)
    assert names(outputs) == ["CopierStopped", "DetachCopy"]
    assert outputs[1].copy == copy_of(SLAVE, RootId("502"))
    assert [order.copy for order in given.when(closed())] == [COPY]


# --- accounts that are removed --------------------------------------------------------------------


def test_stopping_for_a_removed_master_never_leaves_copies_waiting_for_news() -> None:
    given = desk(start(), opened())
    outputs = given.when(stop(reason=StopReason.MASTER_REMOVED))
    assert names(outputs) == ["CopierStopped", "DetachCopy"]
    assert outputs[1].reason == "ACCOUNT_REMOVED"


def test_the_commands_of_a_removal_may_come_after_it() -> None:
    given = desk(start(), opened(), opened(RootId("502"), copy=COPY))
    assert names(given.when(account_removed())) == ["CopierPaused"]
    outputs = given.when(stop(open_copies=OpenCopies.CLOSE, reason=StopReason.MASTER_REMOVED))
    assert names(outputs) == ["CopierStopped", "CloseCopy"]


def test_a_copier_stopped_after_its_master_was_removed_follows_nothing() -> None:
    """Nobody would have told of the master's close, nor of what stayed open."""
    given = desk(start(), opened(), account_removed())
    assert names(given.when(stop(open_copies=OpenCopies.FOLLOW))) == ["CopierStopped", "DetachCopy"]


def test_a_removed_masters_copies_without_a_copier_are_detached() -> None:
    given = desk(start(), opened(), stop())
    outputs = given.when(account_removed())
    assert names(outputs) == ["DetachCopy"]
    assert given.each(opened(seen=m.Seen.BASELINE), closed()) == [], "it is left for good"


@pytest.mark.parametrize("is_removed_first", [True, False])
def test_a_removed_masters_copies_of_a_former_copier_are_detached_too(
    is_removed_first: bool,
) -> None:
    given = desk(start(), opened(), stop(), start(SECOND), opened(RootId("502")))
    leave = stop(SECOND, OpenCopies.LEAVE, reason=StopReason.MASTER_REMOVED)
    told = [account_removed(), leave] if is_removed_first else [leave, account_removed()]
    detached = [each for each in given.each(*told) if isinstance(each, m.DetachCopy)]
    assert {each.copy for each in detached} == {COPY, copy_of(SLAVE, RootId("502"))}
    assert len(detached) == 2


def test_of_a_removed_master_is_remembered_what_any_pair_has_copied() -> None:
    """Else that pair would copy it again once the account is added again."""
    given = desk(start(), start(SECOND, slave=SLAVES[1], filter_side=SideFilter.SELL_ONLY))
    given.each(opened(RootId("500"), copy=COPY), opened())
    given.when(account_removed())
    assert [key for key in given.state if key.startswith("root/")] == [f"root/{MASTER}/501"]
    leave = stop(open_copies=OpenCopies.LEAVE, reason=StopReason.MASTER_REMOVED)
    given.each(leave, replace(leave, copier=SECOND))
    again = start(CopierId("e" * 32), copy_existing_trades=True, market={"EURUSD": D("1.09")})
    again = replace(again, master_registration=RegistrationId("n" * 32))
    assert names(given.when(again)) == ["CopierStarted"], "nobody knows whether it still stands"
    assert names(given.when(opened(seen=m.Seen.BASELINE))) == ["ALREADY_COPIED"]


def test_an_account_added_again_does_not_copy_its_trades_again() -> None:
    given = desk(start(), opened())
    given.when(stop(open_copies=OpenCopies.LEAVE, reason=StopReason.MASTER_REMOVED))
    given.when(account_removed())
    given.restart()
    given.when(start(SECOND, copy_existing_trades=True))
    again = opened(seen=m.Seen.BASELINE)
    assert "OpenCopy" not in names(given.when(again))
    assert given.when(closed()) == []
    assert not any(key.startswith("root/") for key in given.state)


def test_what_a_removed_master_had_open_is_joined_only_once_it_is_seen_again() -> None:
    """Nobody knows whether it still stands: it was opened on the slave, and nothing closed it."""
    given = desk(start(), opened(), opened(RootId("502")))
    given.when(account_removed())
    given.when(stop(open_copies=OpenCopies.LEAVE, reason=StopReason.MASTER_REMOVED))
    given.restart()
    again = start(SECOND, slave=SLAVES[1], copy_existing_trades=True, market={"EURUSD": D("1.09")})
    again = replace(again, master_registration=RegistrationId("n" * 32))
    assert names(given.when(again)) == ["CopierStarted"]
    found = opened(lots=D("0.40"), stop_loss=D("1.06"), seen=m.Seen.BASELINE)
    order = only(given.when(found), m.OpenCopy)
    assert (order.root, order.lots, order.stop_loss) == (found.root, D("0.40"), D("1.06"))
    assert names(given.when(stop(SECOND))) == ["CopierStopped", "RemovePendingCopy"]


def test_what_opened_and_closed_unseen_while_its_account_was_gone_is_closed() -> None:
    given = desk(start(), opened(), account_removed())
    assert names(given.when(missed(), closed_unseen())) == ["CloseCopy"]


def test_an_order_of_a_removed_master_that_is_seen_again_is_decided_on_as_of_then() -> None:
    given = desk(start(pending_mode=PendingMode.MIRROR), placed(), account_removed())
    again = start(SECOND, slave=SLAVES[1], pending_mode=PendingMode.MIRROR)
    given.when(replace(again, master_registration=RegistrationId("n" * 32)))
    found = placed(seen=m.Seen.BASELINE, placed_at_utc=at(60))
    assert only(given.when(found), m.PlacePendingCopy).copier == SECOND


def test_what_is_seen_again_is_joined_as_it_is_also_before_its_former_copiers_end_is_read() -> None:
    given = desk(start(), opened(), reduced("0.60"), account_removed())
    assert given.when(opened(lots=D("0.40"), stop_loss=D("1.06"), seen=m.Seen.BASELINE)) == []
    assert only(given.when(reduced("0.30", "0.40")), m.ReduceCopy).fraction == D("0.45")
    given.when(stop(open_copies=OpenCopies.LEAVE, reason=StopReason.MASTER_REMOVED))
    again = start(SECOND, slave=SLAVES[1], copy_existing_trades=True, market={"EURUSD": D("1.09")})
    again = replace(again, master_registration=RegistrationId("n" * 32))
    order = only(given.when(again), m.OpenCopy)
    assert (order.lots, order.stop_loss) == (D("0.30"), D("1.06"))
    assert only(given.when(reduced("0.15", "0.40")), m.ReduceCopy).fraction == D("0.5")


def test_what_the_removal_of_its_master_leaves_undecided_says_so() -> None:
    """It said that its user had paused the copier."""
    given = desk(start())
    assert given.when(missed(), unread=2) == []
    skipped = only(given.when(account_removed()), m.CopySkipped)
    assert (skipped.code, skipped.numbers) == ("PAUSED", {"reason": "MasterAccountRemoved"})


@pytest.mark.parametrize("last", [True, False])
def test_a_copier_of_a_removed_registration_copies_nothing_more(last: bool) -> None:
    """One that its removal did not know; another user's registration goes on, or the account is added
    again.
    """
    protecting = m.PauseCopier(copier=COPIER, master=MASTER, reason="EquityProtection")
    given = desk(start(), protecting, start(SECOND, slave=SLAVES[1]))
    events = given.when(account_removed(last=last))
    assert {event.state.pause_reason for event in events} == {"MasterAccountRemoved"}
    assert given.when(account_removed(last=last)) == []
    over = m.ResumeCopier(copier=COPIER, master=MASTER, only_from="EquityProtection")
    assert [event.code for event in given.when(over)] == ["PAUSED_OTHERWISE"]
    assert given.when(proved()) == []
    given.restart()
    assert {skip.code for skip in given.when(opened())} == {"PAUSED"}
    again = replace(start(SECOND, slave=SLAVES[1]), master_registration=RegistrationId("n" * 32))
    assert names(given.when(again)) == ["CopierStarted"]
    assert "OpenCopy" in names(given.when(opened(RootId("502"))))


def test_somebody_elses_removed_registration_pauses_nothing() -> None:
    given = desk(start())
    assert given.when(account_removed("o" * 32, last=False)) == []


def test_a_removed_master_leaves_no_record_of_what_nobody_copied() -> None:
    given = desk(opened(), start())
    given.when(account_removed())
    assert list(given.state) == [f"copier/{COPIER}", f"barred/{MASTER}"]


def test_of_registrations_that_were_removed_only_the_latest_are_remembered() -> None:
    """None comes back, and an account may be added and removed every day for years."""
    given = desk(refused(registration="w" * 32))
    for number in range(100):
        given.when(account_removed(f"{number:032d}", last=False))
    kept = msgspec.json.decode(given.state[f"barred/{MASTER}"], type=BarredRecord)
    assert list(kept.why) == ["w" * 32, *(f"{number:032d}" for number in range(68, 100))]
    given.restart()
    late = replace(start(), master_registration=RegistrationId(f"{99:032d}"))
    started = only(given.when(late), m.CopierStarted)
    assert started.state.pause_reason == "MasterAccountRemoved"


def test_only_the_last_registrations_removal_ends_anything() -> None:
    given = desk(start(), opened(), stop())
    assert given.when(account_removed(last=False)) == []
    assert names(given.when(closed())) == ["CloseCopy"]


def _registration() -> Any:
    return start().master_registration


def refused(rights: m.Rights = m.Rights.NONE, registration: Any = None) -> m.AccountRefused:
    id_ = registration or _registration()
    return m.AccountRefused(
        account=MASTER, registration=id_, code="INVALID_ACCOUNT", message="", rights=rights
    )


def proved(rights: m.Rights = m.Rights.READ, *, enabled: bool = True) -> m.AccountUpdated:
    return m.AccountUpdated(
        account=MASTER,
        registration=_registration(),
        name="n",
        enabled=enabled,
        rights=rights,
    )


def test_a_copier_whose_user_lost_the_right_to_read_the_master_copies_nothing_until_it_is_back() -> (
    None
):
    given = desk(start(), start(SECOND, slave=SLAVES[1]))
    events = given.when(refused())
    assert names(events) == ["CopierPaused", "CopierPaused"]
    assert {event.state.pause_reason for event in events} == {"WrongMasterPassword"}
    assert {skip.code for skip in given.when(opened())} == {"PAUSED"}
    assert names(given.when(proved())) == ["CopierResumed", "CopierResumed"]
    assert "OpenCopy" in names(given.when(opened(RootId("502"))))


def test_a_refused_password_beside_one_that_works_and_somebody_elses_pause_nothing() -> None:
    given = desk(start())
    assert given.when(refused(m.Rights.READ)) == []
    assert given.when(refused(registration="o" * 32)) == []
    assert given.when(proved()) == []


def test_a_password_that_reads_again_ends_the_pause_for_one_that_did_not() -> None:
    """Also where it is told by what refuses it the right to trade, which says nothing of the rest."""
    given = desk(start(), refused())
    assert names(given.when(refused(m.Rights.READ))) == ["CopierResumed"]
    later = desk(refused(), refused(m.Rights.READ))
    assert not only(later.when(start()), m.CopierStarted).state.paused
    disabled = desk(proved(enabled=False), refused(m.Rights.READ))
    assert only(disabled.when(start()), m.CopierStarted).state.paused


def test_a_lost_right_pauses_its_own_copiers_whoever_else_copies_the_master() -> None:
    others = replace(start(), master_registration=RegistrationId("o" * 32))
    given = desk(others, start(SECOND, slave=SLAVES[1]))
    assert [event.state.copier for event in given.when(refused())] == [SECOND]


def test_a_disabled_masters_copier_is_paused_until_it_is_enabled_again() -> None:
    given = desk(start())
    (paused,) = given.when(proved(enabled=False))
    assert (paused.state.paused, paused.state.pause_reason) == (True, "MasterAccountDisable")
    assert given.when(proved(enabled=False)) == []
    assert given.when(refused(m.Rights.READ)) == [], "a refusal says nothing of being enabled"
    (resumed,) = given.when(proved())
    assert (resumed.state.paused, resumed.state.pause_reason) == (False, "")


BARRED = {
    "MasterAccountRemoved": account_removed(last=False),
    "MasterAccountDisable": proved(enabled=False),
    "WrongMasterPassword": refused(),
}


@pytest.mark.parametrize("why", BARRED)
def test_a_start_that_comes_after_what_would_have_paused_it_is_paused(why: str) -> None:
    """The gateway looked at the master before, and between topics there is no order."""
    given = desk(proved(), opened(), BARRED[why])
    given.restart()
    started = only(given.when(start(copy_existing_trades=True)), m.CopierStarted)
    assert (started.state.paused, started.state.pause_reason) == (True, why)
    assert names(given.when(opened(RootId("502")))) == ["PAUSED"]
    if why != REMOVED:
        assert names(given.when(proved())) == ["CopierResumed", "CopyPlanned", "OpenCopy"]
        assert not any(key.startswith("barred/") for key in given.state)
    else:
        assert given.when(proved()) == []
        assert names(given.when(resume())) == ["CopierPaused"]


@pytest.mark.parametrize("why", BARRED)
def test_a_resume_that_comes_after_what_would_have_paused_it_again_is_no_resume(why: str) -> None:
    given = desk(start(), pause(), BARRED[why])
    given.restart()
    (paused,) = given.when(resume())
    assert isinstance(paused, m.CopierPaused)
    assert (paused.state.paused, paused.state.pause_reason) == (True, why)
    assert names(given.when(opened())) == ["PAUSED"]
    assert names(given.when(proved())) == ([] if why == REMOVED else ["CopierResumed"])


def test_a_start_that_comes_before_the_news_of_its_right_runs_once_that_is_there() -> None:
    given = desk(refused())
    assert names(given.when(start())) == ["CopierStarted"]
    assert names(given.when(proved())) == ["CopierResumed"]
    assert "OpenCopy" in names(given.when(opened()))


def test_a_copier_that_was_asked_for_paused_stays_paused_when_its_master_may_be_copied_again() -> (
    None
):
    given = desk(proved(enabled=False), start(paused=True))
    assert given.when(proved()) == []


def test_of_two_causes_the_one_that_remains_keeps_it_paused() -> None:
    given = desk(start())
    given.when(proved(enabled=False))
    assert names(given.when(refused())) == ["CopierPaused"]
    (paused,) = given.when(proved(enabled=False))
    assert paused.state.pause_reason == "MasterAccountDisable"
    assert names(given.when(proved())) == ["CopierResumed"]


def test_what_its_user_paused_stays_paused_when_the_right_comes_back() -> None:
    given = desk(start(), pause())
    assert given.when(refused(), proved()) == []


@pytest.mark.parametrize("word", ["MasterAccountDisable", "WrongMasterPassword", PAUSE_REASON])
def test_what_its_user_paused_stays_paused_whatever_word_was_given_as_the_reason(word: str) -> None:
    """Clients of the original know the words by which a copier pauses itself, and give them."""
    given = desk(start())
    (paused,) = given.when(m.PauseCopier(copier=COPIER, master=MASTER, reason=word))
    assert (paused.state.paused, paused.state.pause_reason) == (True, "ByUser")
    assert given.when(proved()) == []
    its_next_day = m.ResumeCopier(copier=COPIER, master=MASTER, only_from=PAUSE_REASON)
    assert names(given.when(its_next_day)) == ["PAUSED_OTHERWISE"]
    assert names(given.when(opened())) == ["PAUSED"]


@pytest.mark.parametrize("lost", ["disabled", "refused"])
def test_what_a_protector_paused_is_not_resumed_by_it_while_the_master_may_not_be_copied(
    lost: str,
) -> None:
    given = desk(start())
    given.when(m.PauseCopier(copier=COPIER, master=MASTER, reason=PAUSE_REASON, unless_paused=True))
    given.when(proved(enabled=False) if lost == "disabled" else refused())
    its_next_day = m.ResumeCopier(copier=COPIER, master=MASTER, only_from=PAUSE_REASON)
    assert names(given.when(its_next_day)) == ["PAUSED_OTHERWISE"]
    assert names(given.when(opened())) == ["PAUSED"]
    assert names(given.when(proved())) == ["CopierResumed"]


def test_a_stopped_copiers_record_is_removed() -> None:
    given = desk(start(), stop())
    assert given.state == {}
    assert names(given.when(start(CopierId("e" * 32)))) == ["CopierStarted"]
