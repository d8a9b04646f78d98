"""A session's life: whose answer counts for which password, and what is said when none can be made."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from copypro import messages as m
from copypro import topics
from copypro.errors import Refused, TerminalError, Unavailable
from copypro.messages import Seen
from copypro.trading import Done, History, TradeRequest
from copypro.values import Platform, RegistrationId, Ticket, UserId
from copypro_account_watcher.limits import WatcherLimits
from copypro_standalone.backtest.virtual_time import run
from msgspec.structs import replace
from structlog.testing import capture_logs

from tests.unit.diff_builders import D, order, row
from tests.unit.slave_story import KINDS
from tests.unit.test_generations import again, removal
from tests.unit.watched import ACCOUNT, LOGIN, REGISTRATION, SERVER, TRADES, Watched, now, watched

QUICK = WatcherLimits(reconnect_first_s=0.1)


async def set_password(account: Watched, password: str = TRADES) -> None:
    sealed = f"{password}#2"
    await account.command(
        m.UpdateAccount(account=ACCOUNT, registration=REGISTRATION, sealed_password=sealed)
    )


async def reconnects(account: Watched, seconds: float) -> None:
    """The session is lost, and the login of the next one is under way for so long."""
    before = len(account.bridge.logins)
    account.bridge.ends_session(reconnects_s=seconds)
    await account.until(lambda: len(account.bridge.logins) > before)


async def refuses_the_try_under_way(account: Watched) -> None:
    tries = len(account.bridge.logins)
    account.bridge.refused.add(TRADES)
    await account.until(lambda: len(account.bridge.logins) > tries)


def test_a_password_proved_anew_is_kept_when_an_earlier_try_of_it_is_refused() -> None:
    """The broker took it no more for a while, its user set it again, and the late answer came after."""

    async def work() -> None:
        async with watched(QUICK) as account:
            bridge = account.bridge
            await reconnects(account, 5.0)
            await set_password(account)
            await account.until(lambda: len(account.told(m.AccountUpdated)) == 3)
            await refuses_the_try_under_way(account)
            bridge.refused.clear()
            await account.until(lambda: len(account.told(m.AccountConnected)) == 2)
            assert not account.told(m.AccountRefused)

    run(work())


def test_the_next_try_of_it_counts_and_is_the_last() -> None:
    async def work() -> None:
        async with watched(QUICK) as account:
            await reconnects(account, 5.0)
            await set_password(account)
            await account.until(lambda: len(account.told(m.AccountUpdated)) == 3)
            await refuses_the_try_under_way(account)
            await account.until(lambda: account.told(m.AccountRefused))
            tries = len(account.bridge.logins)
            await asyncio.sleep(100.0)
            assert len(account.bridge.logins) == tries

    run(work())


def test_a_password_that_is_proved_after_its_session_was_refused_is_used_again() -> None:
    """Both were under way at once: the last try is what is known of it."""

    async def work() -> None:
        async with watched(QUICK) as account:
            bridge = account.bridge
            bridge.proves_s[TRADES] = 5.0
            await set_password(account)
            await account.until(lambda: bridge.logins.count(TRADES) == 3)
            bridge.refused.add(TRADES)
            await reconnects(account, 0.0)
            await account.until(lambda: account.told(m.AccountRefused))
            bridge.refused.clear()
            await account.until(lambda: len(account.told(m.AccountConnected)) == 2)
            assert account.told(m.AccountUpdated)[-1].rights is m.Rights.TRADE

    run(work())


@pytest.mark.parametrize(
    "change", [{"sealed_password": "another"}, {"name": "renamed"}], ids=["password", "name"]
)
def test_why_a_password_is_still_not_tried_is_said_again_after_a_change(
    change: dict[str, Any],
) -> None:
    """What is told of a change takes away what was said before it."""

    async def work() -> None:
        async with watched(QUICK) as account:
            account.bridge.away = {"prove"}
            await set_password(account, "new")
            await account.until(lambda: account.told(m.ProofDelayed))
            await account.command(
                m.UpdateAccount(account=ACCOUNT, registration=REGISTRATION, **change)
            )
            await account.until(lambda: len(account.told(m.ProofDelayed)) == 2)
            await asyncio.sleep(100.0)
            assert len(account.told(m.ProofDelayed)) == 2

    run(work())


def test_an_account_added_again_says_why_it_is_not_connected_though_it_was_so_before() -> None:
    async def work() -> None:
        async with watched(QUICK) as account:
            account.bridge.away = {"connect"}
            account.bridge.ends_session(reconnects_s=0.0)
            await account.until(lambda: len(account.told(m.AccountDisconnected)) == 2)
            assert account.told(m.AccountDisconnected)[-1].code == "UNREACHABLE"
            await account.command(removal())
            await account.until(lambda: account.told(m.AccountRemoved))
            await account.command(again())
            await account.until(lambda: len(account.told(m.AccountDisconnected)) == 3)

    run(work())


def test_an_account_out_of_reach_is_an_alert_also_after_its_password_was_refused() -> None:
    """The refusal is an alert of its own, which ends with the right password."""

    async def fills(_: TradeRequest) -> Done:
        return Done(ticket=Ticket(50), lots=D("0.10"), price=D("1.1"))

    async def work() -> None:
        async with watched(QUICK) as account:
            bridge = account.bridge
            bridge.does = fills
            await account.open()
            await account.until(lambda: account.told(m.CopyOpened, topics.EXECUTIONS))
            bridge.orders = (order(50),)
            bridge.away = {"connect"}
            bridge.ends_session(reconnects_s=0.0)
            await account.until(lambda: len(account.told(m.AccountDisconnected)) == 2)
            bridge.away, bridge.refused = set(), {TRADES}
            await account.until(lambda: account.told(m.AccountRefused))
            await asyncio.sleep(60.0)
            bridge.away = {"connect"}
            await set_password(account, "new")
            await account.until(
                lambda: [a for a in account.told(m.AlertRaised) if a.code == "ACCOUNT_DOWN"]
            )

    run(work())


def test_an_account_without_copies_is_an_alert_once_it_is_out_of_reach_for_long() -> None:
    """Nothing said that a master's trades were missed."""

    def down(account: Watched) -> list[m.AlertRaised]:
        return [alert for alert in account.told(m.AlertRaised) if alert.code == "ACCOUNT_DOWN"]

    async def work() -> None:
        async with watched(QUICK) as account:
            account.bridge.away = {"connect"}
            account.bridge.ends_session(reconnects_s=0.0)
            await account.until(lambda: account.told(m.AccountDisconnected))
            await asyncio.sleep(QUICK.away_alert_after_s - 1.0)
            assert not down(account)
            await account.until(lambda: down(account))
            account.bridge.away = set()
            await account.until(lambda: account.told(m.AlertCleared))

    run(work())


def test_a_proof_of_life_is_as_old_as_what_it_shows() -> None:
    """It is told once in a while, and the account may have hung since."""

    async def work() -> None:
        async with watched() as account:
            await account.until(lambda: account.told(m.AccountSnapshot, topics.ACCOUNT_SNAPSHOTS))
            await account.looked()
            account.bridge.snapshot_takes_s = 15.0
            await asyncio.sleep(0.1)
            seen_at = now()
            told = len(account.told(m.AccountSnapshot, topics.ACCOUNT_SNAPSHOTS))
            await account.until(
                lambda: len(account.told(m.AccountSnapshot, topics.ACCOUNT_SNAPSHOTS)) > told
            )
            snapshot = account.told(m.AccountSnapshot, topics.ACCOUNT_SNAPSHOTS)[-1]
            assert snapshot.seen_alive_at_utc <= seen_at

    run(work())


def test_while_another_password_is_tried_nobody_is_told_to_set_one() -> None:
    """The one in use is refused meanwhile."""

    async def work() -> None:
        async with watched(QUICK) as account:
            account.bridge.proves_s["new"] = 50.0
            await set_password(account, "new")
            await account.until(lambda: "new" in account.bridge.logins)
            account.bridge.refused.add(TRADES)
            await reconnects(account, 0.0)
            await account.until(lambda: account.told(m.AccountRefused))
            last = account.told(m.AccountUpdated)[-1]
            assert (last.proving, last.rights) == (True, m.Rights.NONE)
            await account.until(lambda: len(account.told(m.AccountConnected)) == 2)

    run(work())


OTHERS = [RegistrationId(digit * 32) for digit in "de"]


async def register(account: Watched, registration: RegistrationId) -> None:
    """Another user, who knows the same password."""
    told = len(account.told(m.AccountUpdated))
    await account.command(
        m.RegisterAccount(
            account=ACCOUNT,
            registration=registration,
            user=UserId(registration),
            platform=Platform.MT5,
            server=SERVER,
            login=LOGIN,
            name="another's",
            sealed_password=f"{TRADES}#{registration}",
        )
    )
    await account.until(lambda: len(account.told(m.AccountUpdated)) > told)


def test_a_password_of_several_users_that_its_broker_takes_no_more_is_tried_once() -> None:
    async def work() -> None:
        async with watched(QUICK) as account:
            for other in OTHERS:
                await register(account, other)
            tries = len(account.bridge.logins)
            account.bridge.refused.add(TRADES)
            await reconnects(account, 0.0)
            await account.until(lambda: len(account.told(m.AccountRefused)) == 3)
            whose = {event.registration for event in account.told(m.AccountRefused)}
            assert whose == {REGISTRATION, *OTHERS}
            await asyncio.sleep(100.0)
            assert len(account.bridge.logins) == tries + 1

    run(work())


def test_a_former_password_of_several_users_is_tried_once_after_another_was_proved() -> None:
    async def work() -> None:
        async with watched(QUICK) as account:
            for other in OTHERS:
                await register(account, other)
            tries = account.bridge.logins.count(TRADES)
            account.bridge.refused.add(TRADES)
            await set_password(account, "new")
            await account.until(lambda: len(account.told(m.AccountRefused)) == 2)
            whose = {event.registration for event in account.told(m.AccountRefused)}
            assert whose == set(OTHERS)
            assert account.bridge.logins.count(TRADES) == tries + 1

    run(work())


@pytest.mark.parametrize("error", [Unavailable("UNREADABLE", "no"), Refused("NO_HISTORY", "no")])
@pytest.mark.parametrize("kind", KINDS)
def test_an_account_whose_history_cannot_be_read_is_followed_by_its_lists(
    kind: str, error: TerminalError
) -> None:
    """In one session; what vanished is told to a person, and as closed once history shows that."""

    def history(*_: datetime) -> History:
        raise error

    async def work() -> None:
        platform, mode = KINDS[kind]
        async with watched(platform=platform, mode=mode, orders=(order(7),)) as account:
            bridge = account.bridge
            await account.looked()
            bridge.tells, bridge.orders, logins = history, (), len(bridge.logins)
            await asyncio.sleep(600)
            assert [alert.code for alert in account.told(m.AlertRaised)] == ["VANISHED"]
            bridge.orders = (replace(order(8), symbol="GBPUSD"),)
            await asyncio.sleep(15)
            assert [event.ticket for event in account.told(m.PositionOpened)] == [7, 8]
            assert len(bridge.logins) == logins
            bridge.tells, bridge.closed = None, (row(7, deal=78),)
            await account.until(lambda: account.told(m.PositionClosed))

    run(work())


def test_a_session_that_cannot_read_the_history_it_needs_is_begun_anew_in_the_end() -> None:
    """Bridges load it at the login: one whose load failed would never show that a position was closed."""

    async def work() -> None:
        async with watched(orders=(order(7),)) as account:
            bridge = account.bridge
            await account.looked()
            logins = len(bridge.logins)

            def history(*_: datetime) -> History:
                if len(bridge.logins) == logins:
                    raise Unavailable("NO_HISTORY", "not loaded")
                return History(closed=(row(7, deal=78),), operations=())

            bridge.tells, bridge.orders = history, ()
            await asyncio.sleep(WatcherLimits().history_session_s)
            await account.until(lambda: account.told(m.PositionClosed))
            assert len(bridge.logins) == logins + 1

    run(work())


def test_history_that_is_not_to_be_had_fills_no_log() -> None:
    """A bridge that never has any said so at each look."""

    async def work() -> None:
        async with watched(orders=(order(7),)) as account:
            bridge = account.bridge
            await account.looked()

            def history(*_: datetime) -> History:
                raise Unavailable("NO_HISTORY", "not loaded")

            async def said(seconds: float) -> int:
                with capture_logs() as lines:
                    await asyncio.sleep(seconds)
                return [line["event"] for line in lines].count("history not read")

            bridge.tells, bridge.balance = history, D("9000")
            quarter_s = WatcherLimits().history_session_s
            assert await said(quarter_s / 2) == 1
            assert await said(quarter_s) == 1
            bridge.tells = None
            assert await said(60) == 0
            bridge.tells, bridge.balance = history, D("8000")
            assert await said(60) == 1, "it is another time"

    run(work())


@pytest.mark.parametrize("how", ["connect", "prove"])
def test_a_bridge_that_is_away_for_a_day_is_tried_on_and_on(how: str) -> None:
    """The pause was doubled each time before its cap was looked at: more than a number can hold."""

    async def work() -> None:
        with capture_logs() as lines:
            async with watched(QUICK) as account:
                account.bridge.away = {how}
                account.bridge.ends_session(reconnects_s=0.0)
                await set_password(account, "new")
                await asyncio.sleep(86_400.0)
                account.bridge.away = set()
                tries = len(account.bridge.logins)
                await account.until(lambda: len(account.bridge.logins) > tries)
        assert [line for line in lines if line["event"] == "an agent broke"] == []

    run(work())


def test_a_bridge_that_is_back_after_an_hour_is_found_within_seconds() -> None:
    """Its accounts stayed unwatched for up to a minute more."""

    async def work() -> None:
        async with watched() as account:
            account.bridge.away = {"connect"}
            account.bridge.ends_session(reconnects_s=0.0)
            await asyncio.sleep(3600.0)
            account.bridge.away = set()
            began = now()
            await account.until(lambda: len(account.told(m.AccountConnected)) == 2)
            assert (now() - began).total_seconds() < 12

    run(work())


def test_a_session_that_shows_no_list_is_one_more_try_in_vain() -> None:
    """Each login began to count anew: a bridge that logged in and showed nothing had the broker logged
    in to every second, which brokers lock accounts for.
    """

    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            bridge.is_down = True
            bridge.ends_session(reconnects_s=0.0)
            before = len(bridge.logins)
            await asyncio.sleep(600.0)
            assert len(bridge.logins) - before < 25
            bridge.is_down = False
            await account.until(lambda: len(account.told(m.AccountConnected)) == 2)
            tries = len(bridge.logins)
            bridge.ends_session(reconnects_s=0.0)
            await asyncio.sleep(5.0)
            assert len(bridge.logins) == tries + 1, "it stood: the next try is a first one again"
            assert len(account.told(m.AccountConnected)) == 3

    run(work())


def test_sessions_that_are_lost_after_a_moment_are_begun_ever_more_seldom() -> None:
    """Each was logged in to after a second, for ever: brokers lock accounts for it, and the log held
    two facts of each. One that is lost once is back at once.
    """

    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge

            async def lost_after(seconds: float) -> None:
                before = len(account.told(m.AccountConnected))
                await asyncio.sleep(seconds)
                bridge.ends_session(reconnects_s=0.0)
                await account.until(lambda: len(account.told(m.AccountConnected)) > before)

            tries = len(bridge.logins)
            for _ in range(10):
                await lost_after(1.0)
            began = now()
            await lost_after(1.0)
            assert (now() - began).total_seconds() > 60
            await lost_after(6.0)
            began = now()
            await lost_after(6.0)
            assert (now() - began).total_seconds() < 8
            assert len(bridge.logins) - tries == 13

    run(work())


def test_a_stream_that_does_not_open_is_said_once_per_cause() -> None:
    """It was said at each try, for each account, as long as a proxy lets none through."""

    async def work() -> None:
        async with watched() as account:
            bridge = account.bridge
            with capture_logs() as lines:
                for reason in ("lost", "refused", "refused", "refused"):
                    bridge.loses_stream(reason)
                    await asyncio.sleep(5.0)
                bridge.reopens_stream()
                bridge.loses_stream("refused")
                await asyncio.sleep(5.0)
            said = [line["reason"] for line in lines if line["event"] == "stream lost"]
            assert said == ["lost", "refused", "refused"]

    run(work())


def test_of_an_account_whose_session_has_just_ended_nothing_is_said_of_what_stands() -> None:
    """What was known of it was still taken for what stands: "not open" would have a person settle as
    nothing what no list can show.
    """

    async def work() -> None:
        async with watched(QUICK) as account:
            await account.open()
            await account.until(lambda: account.told(m.CopyUnresolved, topics.EXECUTIONS))
            (started,) = account.told(m.AttemptStarted, topics.EXECUTIONS)
            await reconnects(account, 30.0)
            await account.command(
                m.SettleUnresolved(
                    account=ACCOUNT, attempt=started.attempt, ticket=Ticket(77), by="u"
                )
            )
            await account.until(lambda: account.told(m.CommandDenied))
            assert account.told(m.CommandDenied)[0].code == "ACCOUNT_CONNECTING"

    run(work())


@pytest.mark.parametrize("platform", Platform)
def test_the_first_trade_after_a_restart_is_seen_live_though_clocks_were_put_back(
    platform: Platform,
) -> None:
    """Its symbol's first ticks come with it."""
    summer, winter = timedelta(hours=3), timedelta(hours=2)

    def at_broker(offset: timedelta) -> datetime:
        return now().replace(tzinfo=None) + offset

    async def work() -> None:
        async with watched(platform=platform) as account:
            bridge, log = account.bridge, account.log
            bridge.orders = (replace(order(5), opened_at_broker=at_broker(summer)),)
            bridge.frame()
            for _ in range(3):
                await asyncio.sleep(1)
                bridge.tick(summer)
            await asyncio.sleep(10)
        async with watched(platform=platform, log=log, orders=bridge.orders) as account:
            bridge = account.bridge
            await asyncio.sleep(1)
            bridge.orders += (replace(order(6), opened_at_broker=at_broker(winter)),)
            bridge.frame()
            await account.until(lambda: len(account.told(m.PositionOpened)) > 1)
            assert [event.seen for event in account.told(m.PositionOpened)] == [Seen.LIVE] * 2

    run(work())
