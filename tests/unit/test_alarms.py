"""What an operator must know of a copy: by what stands, and by how long it has stood."""

from __future__ import annotations

from datetime import datetime, timedelta

from copypro.errors import Refused
from copypro.trading import CloseRequest, ModifyRequest
from copypro.values import Platform, leg_tag
from copypro_account_watcher.alarms import alarms
from copypro_account_watcher.planned.accepting import detach
from copypro_account_watcher.settled.outcomes import refused
from copypro_account_watcher.state import Copy, Leg, LegStatus

from tests.unit.slave_builders import LIMITS, SEEN_AT, TICKET, TIMES, D, attempt, standing, wanted


def codes(copy: Copy, age_s: float) -> dict[str, str]:
    found, _ = alarms(copy, later(age_s), LIMITS)
    return {cause: alarm.code for cause, alarm in found.items()}


def later(age_s: float) -> datetime:
    return SEEN_AT + timedelta(seconds=age_s)


def test_a_copy_that_stands_as_it_should_is_nothing_to_tell() -> None:
    assert alarms(standing(), later(86_400), LIMITS) == ({}, None)


def test_a_close_that_takes_long_is_told_when_its_time_comes_whether_or_not_it_was_sent() -> None:
    copy = standing()
    copy.closing, copy.closing_since_utc = "MASTER_FLAT", SEEN_AT
    assert alarms(copy, SEEN_AT, LIMITS) == ({}, later(LIMITS.close_alert_after_s))
    assert codes(copy, LIMITS.close_alert_after_s) == {"close": "CLOSE_FAILS"}
    copy.legs[0].status = LegStatus.ENDED
    assert codes(copy, LIMITS.close_alert_after_s) == {}


def test_what_the_broker_has_against_a_call_is_in_its_alert_as_long_as_it_is_the_latest() -> None:
    copy = standing(sl="1.05")
    copy.closing, copy.closing_since_utc = "MASTER_FLAT", SEEN_AT
    long_after = later(LIMITS.close_alert_after_s)

    def told(kind: str, code: str) -> str:
        request = {
            "close": CloseRequest(ticket=TICKET, symbol="EURUSD", lots=None),
            "modify": ModifyRequest(ticket=TICKET, stop_loss=D("1.05"), take_profit=None),
        }[kind]
        under_way, error = attempt(kind, request), Refused(code, "the market sleeps")
        refused(copy, under_way, error, Platform.MT5, SEEN_AT, LIMITS, TIMES)
        return alarms(copy, long_after, LIMITS)[0]["close"].text

    text = f"{TICKET} should be closed and is not"
    said = told("close", "MARKET_CLOSED")
    assert said == f"{text}: the broker answered MARKET_CLOSED (the market sleeps)"
    assert told("modify", "INVALID_STOPS") == text, "that is another matter"


def test_what_cannot_even_be_sent_says_so_whatever_was_answered_before() -> None:
    copy = standing(sl="1.05")
    copy.closing, copy.closing_since_utc = "MASTER_FLAT", SEEN_AT
    copy.refusal = ("close", "MARKET_CLOSED")
    found, _ = alarms(copy, later(LIMITS.close_alert_after_s), LIMITS, is_connected=False)
    said = f"{TICKET} should be closed and is not: the account is not connected"
    assert found["close"].text == said
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss, copy.levels_late_since_utc = D("1.04"), SEEN_AT
    found, _ = alarms(copy, later(LIMITS.stops_within_s), LIMITS, is_connected=False)
    assert found["stop"].text.endswith(": the former ones stand: the account is not connected")


def test_a_call_that_has_no_answer_yet_is_the_reason_where_there_is_no_other() -> None:
    copy = standing(sl="1.05")
    copy.closing, copy.closing_since_utc = "MASTER_FLAT", SEEN_AT
    copy.attempt = attempt("close", None)

    def told() -> str:
        return alarms(copy, later(LIMITS.close_alert_after_s), LIMITS)[0]["close"].text

    text = f"{TICKET} should be closed and is not"
    assert told() == f"{text}: a call for it has no answer yet"
    copy.refusal = ("close", "MARKET_CLOSED")
    assert told() == f"{text}: the broker answered MARKET_CLOSED"
    copy.attempt, copy.refusal = attempt("modify", None), None
    assert told() == text


def test_a_close_that_waits_for_an_open_without_an_answer_names_no_ticket() -> None:
    copy = wanted()
    copy.symbol, copy.attempt = "EURUSD", attempt("open", None)
    copy.closing, copy.closing_since_utc = "MASTER_FLAT", SEEN_AT
    alarm = alarms(copy, later(LIMITS.close_alert_after_s), LIMITS)[0]["close"]
    assert alarm.text == "what a call to open EURUSD may have opened should be closed and is not"


def test_a_stop_that_is_late_is_told_and_so_is_a_copy_that_is_closed_for_it() -> None:
    copy = standing(sl="1.05")
    copy.legs[0].set_stop_loss, copy.levels_late_since_utc = D("1.04"), SEEN_AT
    assert codes(copy, LIMITS.stops_within_s - 1) == {}
    assert codes(copy, LIMITS.stops_within_s) == {"stop": "STOP_NOT_SET"}
    copy.levels_late_since_utc = None
    assert codes(copy, LIMITS.stops_within_s) == {}
    copy.closing, copy.closing_since_utc = "STOP_NOT_SET", SEEN_AT
    assert codes(copy, 0) == {"stop": "STOP_NOT_SET"}
    copy.legs[0].status = LegStatus.ENDED
    assert codes(copy, 0) == {"stop": "STOP_NOT_SET"}, "the master holds it, and the slave does not"


def test_a_stop_that_was_not_set_names_no_part_that_was_never_opened() -> None:
    copy = standing()
    added = Leg(number=1, tag=leg_tag(copy.copy, 1), status=LegStatus.ENDED, origin=copy.origin)
    copy.legs.append(added)
    copy.closing, copy.closing_since_utc = "STOP_NOT_SET", SEEN_AT
    told = alarms(copy, later(0), LIMITS)[0]["stop"].text
    assert told.startswith(f"the stop of {TICKET} could not be set")


def test_a_copy_that_was_left_while_it_was_closed_for_its_stop_is_not_said_to_be_closed() -> None:
    copy = standing(sl="1.05")
    copy.closing, copy.closing_since_utc = "STOP_NOT_SET", SEEN_AT
    detach(copy, "COPIER_STOPPED", forget=True)
    assert codes(copy, 3600) == {}


def test_an_attempt_that_stays_unclear_is_told_unless_a_person_is_asked_already() -> None:
    copy = standing()
    copy.attempt = attempt("close", None)
    assert alarms(copy, later(3600), LIMITS) == ({}, None), "it is under way"
    copy.attempt.unresolved_at_utc = SEEN_AT
    assert alarms(copy, SEEN_AT, LIMITS) == ({}, later(LIMITS.unresolved_alert_after_s))
    assert codes(copy, LIMITS.unresolved_alert_after_s) == {"unresolved": "UNRESOLVED"}
    copy.attempt.person = True
    assert codes(copy, 3600) == {}
