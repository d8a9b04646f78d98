"""The broker's clock: learned from fresh ticks only, unlearned when they disagree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from copypro_account_watcher.seen.clock import ClockOffset, HostClock, to_broker, to_utc
from hypothesis import given
from hypothesis import strategies as st
from mt_simulator.model import Platform, Server

NOW = datetime(2026, 3, 6, 12, 0, 0, tzinfo=UTC)


def ticks(
    clock: ClockOffset, minutes: int, *, start: datetime = NOW, count: int = 3, late_s: float = 0.2
) -> datetime:
    """Fresh ticks, a second apart, each on its way for `late_s`."""
    for second in range(count):
        now = start + timedelta(seconds=second)
        clock.see((now + timedelta(minutes=minutes, seconds=-late_s)).replace(tzinfo=None), now)
    return start + timedelta(seconds=count)


@pytest.mark.parametrize("minutes", [0, 120, 180, -300, 345, 840, -720])
def test_an_offset_is_learned_from_fresh_ticks(minutes: int) -> None:
    clock = ClockOffset()
    ticks(clock, minutes)
    assert clock.minutes == minutes
    assert clock.skew_s == pytest.approx(-0.2)


def test_nothing_is_known_before_ticks_agree() -> None:
    clock = ClockOffset()
    ticks(clock, 120, count=2)
    assert clock.minutes is None


def test_a_tick_that_waited_since_friday_teaches_nothing() -> None:
    clock = ClockOffset()
    friday = datetime(2026, 3, 6, 23, 59, 59)
    for hours in range(48, 56):
        clock.see(friday, NOW + timedelta(hours=hours))
    assert clock.minutes is None


def test_old_ticks_in_a_row_do_not_agree_on_a_quarter_of_an_hour() -> None:
    """A slow feed that replays the past: its ticks are seven minutes old."""
    clock = ClockOffset()
    ticks(clock, 120, count=50, late_s=420)
    assert clock.minutes is None


def test_one_stray_tick_does_not_change_what_is_known() -> None:
    clock = ClockOffset()
    later = ticks(clock, 120)
    ticks(clock, 180, start=later, count=1)
    assert clock.minutes == 120
    ticks(clock, 120, start=later + timedelta(hours=2))
    assert clock.minutes == 120


def test_summer_time_begins_over_a_weekend_and_the_first_tick_unlearns_the_old_offset() -> None:
    clock = ClockOffset()
    ticks(clock, 120)
    monday = NOW + timedelta(days=3)
    ticks(clock, 180, start=monday, count=1)
    assert clock.minutes is None, "a wrong hour is worse than none: unknown is too old"
    ticks(clock, 180, start=monday + timedelta(seconds=1))
    assert clock.minutes == 180


@pytest.mark.parametrize("summer", [{"us_summer_time": True}, {"eu_summer_time": True}, {}])
def test_through_a_year_of_changes_no_minute_of_the_brokers_is_taken_for_another(
    summer: dict[str, bool],
) -> None:
    """Ticks each hour, none at weekends: what is known is right, or it is not known."""
    broker = Server(name="Broker", platform=Platform.MT5, offset_minutes=120, **summer)
    clock, known = ClockOffset(), []
    begins = datetime(2026, 2, 27, tzinfo=UTC)
    hours = [begins + timedelta(hours=hour) for hour in range(24 * 260)]
    hours = [hour for hour in hours if hour.weekday() < 5]
    for hour in hours:
        for second in range(3):
            now = hour + timedelta(seconds=second)
            clock.see(broker.clock(now), now)
        true = (broker.clock(hour) - hour.replace(tzinfo=None)).total_seconds() / 60
        assert clock.minutes in (None, true)
        known.append(clock.minutes)
    assert known.count(None) == 0, "three ticks of an hour are enough"
    assert set(known) == ({120, 180} if summer else {120})


def test_an_expiry_means_the_same_moment_on_servers_that_change_in_other_weeks() -> None:
    """In the third week of March New York has summer time and Europe has not."""
    master = Server(name="A", platform=Platform.MT4, offset_minutes=120, us_summer_time=True)
    slave = Server(name="B", platform=Platform.MT5, offset_minutes=120, eu_summer_time=True)
    now = datetime(2026, 3, 17, 8, tzinfo=UTC)
    offsets = []
    for server in (master, slave):
        clock = ClockOffset()
        for second in range(3):
            at = now + timedelta(seconds=second)
            clock.see(server.clock(at), at)
        offsets.append(clock.minutes)
    assert offsets == [180, 120]
    expires_at = datetime(2026, 3, 17, 18, 0)
    at_utc = to_utc(expires_at, offsets[0])
    assert at_utc is not None
    assert to_broker(at_utc, offsets[1]) == datetime(2026, 3, 17, 17, 0)


def test_a_change_while_ticks_flow_needs_agreement() -> None:
    clock = ClockOffset()
    later = ticks(clock, 120)
    ticks(clock, 180, start=later, count=1)
    assert clock.minutes == 120
    ticks(clock, 180, start=later + timedelta(seconds=1), count=1)
    assert clock.minutes == 180


def test_in_autumn_the_repeated_hour_is_known_as_such_while_ticks_flow() -> None:
    """Else a trade of that hour is an hour old, by its own time, and not copied."""
    clock = ClockOffset()
    later = ticks(clock, 180)
    changed = ticks(clock, 120, start=later, count=15)
    assert clock.minutes == 180, "a few ticks may be of a feed that replays"
    ticks(clock, 120, start=changed, count=10)
    assert clock.minutes == 120


def test_what_a_closed_market_showed_last_is_no_clock_that_was_put_back() -> None:
    """An hour after the close, symbol by symbol."""
    clock = ClockOffset()
    closed = ticks(clock, 180)
    for number in range(60):
        at = closed + timedelta(hours=1, seconds=2 * number)
        last = closed + timedelta(minutes=180, seconds=-(7 * number % 50) - 2)
        clock.see(last.replace(tzinfo=None), at)
    assert clock.minutes == 180


def test_a_feed_of_an_hour_ago_beside_one_of_now_changes_nothing() -> None:
    clock = ClockOffset()
    start = ticks(clock, 180)
    for second in range(0, 120, 2):
        ticks(clock, 120, start=start + timedelta(seconds=second), count=1)
        ticks(clock, 180, start=start + timedelta(seconds=second + 1), count=1)
    assert clock.minutes == 180


@pytest.mark.parametrize("minutes", [-300, 0, 60, 120, 345])
def test_a_clock_that_was_hours_ahead_and_is_put_right_is_known_as_such(minutes: int) -> None:
    """All its ticks seemed old, so that each trade was hours old by them, and not copied."""
    clock = ClockOffset()
    changed = ticks(clock, minutes + 180, count=60)
    ticks(clock, minutes, start=changed, count=30)
    assert clock.minutes == minutes


def test_one_tick_of_the_future_does_not_hide_a_clock_that_is_not_known_yet() -> None:
    clock = ClockOffset()
    ticks(clock, 600, count=1)
    ticks(clock, 120, start=NOW + timedelta(seconds=1), count=30)
    assert clock.minutes == 120


def test_a_feed_that_plays_last_friday_again_shows_no_clock() -> None:
    clock = ClockOffset()
    ticks(clock, 120, start=NOW + timedelta(days=2), count=60, late_s=86_400)
    ticks(clock, 120, start=NOW + timedelta(days=2), count=60, late_s=172_800)
    assert clock.minutes is None


def test_a_market_whose_quotes_are_late_by_less_than_an_hour_changes_nothing() -> None:
    clock = ClockOffset()
    later = ticks(clock, 180)
    ticks(clock, 180, start=later, count=600, late_s=900)
    assert clock.minutes == 180


def test_times_convert_both_ways_and_stay_unknown_without_an_offset() -> None:
    at_broker = datetime(2026, 3, 6, 14, 30)
    assert to_utc(at_broker, 120) == datetime(2026, 3, 6, 12, 30, tzinfo=UTC)
    assert to_broker(datetime(2026, 3, 6, 12, 30, tzinfo=UTC), 120) == at_broker
    assert to_utc(at_broker, None) is None
    assert to_broker(NOW, None) is None


@given(
    minutes=st.integers(-48, 56).map(lambda quarters: quarters * 15),
    late_s=st.lists(st.floats(0, 60), min_size=4, max_size=20),
)
def test_whatever_ticks_are_late_by_the_quarter_is_right(minutes: int, late_s: list[float]) -> None:
    clock = ClockOffset()
    for second, late in enumerate(late_s):
        now = NOW + timedelta(seconds=second)
        clock.see((now + timedelta(minutes=minutes, seconds=-late)).replace(tzinfo=None), now)
    assert clock.minutes in (None, minutes)


@pytest.mark.parametrize(
    ("skews", "off_s"),
    [
        ({"one": 30.0}, None),
        ({"one": 30.0, "two": 0.4}, None),
        ({"one": 30.0, "two": -30.0}, None),
        ({"one": 30.0, "two": 29.5, "three": 31.0}, 29.5),
        ({"one": -1.8, "two": -1.9}, None),
        ({"one": -2.5, "two": -2.1}, -2.1),
    ],
)
def test_this_machines_clock_is_wrong_only_when_several_servers_say_so(
    skews: dict[str, float], off_s: float | None
) -> None:
    host = HostClock(limit_s=1.0)
    for server, skew_s in skews.items():
        host.see(server, skew_s, mono=100.0)
    assert host.off_s(mono=100.0) == off_s
    assert host.off_s(mono=100.0 + 601.0) is None, "what was seen long ago says nothing"


def test_a_tick_of_a_time_that_no_clock_shows_does_not_hide_those_that_follow() -> None:
    clock = ClockOffset()
    later = ticks(clock, 120)
    clock.see(datetime(2036, 3, 6, 14), later)
    ticks(clock, 180, start=later + timedelta(days=3))
    assert clock.minutes == 180


# --- a server whose quotes tell only UTC ----------------------------------------------------------


def opened(minutes: int, ago: timedelta = timedelta()) -> tuple[datetime, datetime]:
    at = NOW - ago
    return (at + timedelta(minutes=minutes)).replace(tzinfo=None), at


def test_what_tells_both_of_its_times_shows_the_clock_where_no_tick_does() -> None:
    clock = ClockOffset()
    clock.see_both(*opened(120, timedelta(days=40)), NOW)
    assert clock.minutes == 120
    clock.see_both(*opened(180, timedelta(hours=3)), NOW)
    assert clock.minutes == 180, "it was put forward"
    clock.see_both(*opened(120, timedelta(days=40)), NOW)
    assert clock.minutes == 180, "of before that"
    clock.see_both(*opened(33), NOW)
    at_broker, at_utc = opened(180)
    clock.see_both(at_broker, at_utc + timedelta(seconds=0.9), NOW)
    clock.see_both(*opened(100_000), NOW)
    assert clock.minutes == 180, "no clock's"


def test_ticks_are_believed_more() -> None:
    clock = ClockOffset()
    later = ticks(clock, 120)
    clock.see_both(*opened(180), later)
    assert clock.minutes == 120
    clock = ClockOffset()
    clock.see_both(*opened(180), NOW)
    ticks(clock, 120)
    assert clock.minutes == 120


def test_what_seems_an_hour_old_is_of_now_where_a_remembered_clock_was_put_back() -> None:
    clock, limit_s = ClockOffset(180), 15.0
    assert not clock.is_older(3601, limit_s, NOW)
    assert clock.is_older(1800, limit_s, NOW)
    assert clock.is_older(7200, limit_s, NOW)
    now = ticks(clock, 180)
    assert clock.is_older(3601, limit_s, now)
    assert not clock.is_older(3601, limit_s, now + timedelta(days=2))
