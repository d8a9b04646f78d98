"""One account's session: connects, follows its stream, and takes snapshots.

The list of open orders is the truth and frames are hints: after every (re)connect a snapshot
comes first, and what it shows that was not known was missed, not seen live. A snapshot that a frame
overtook is taken again, unless both show the same trades; where frames overtake one after the other,
they wait until one is looked at.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import datetime, timedelta
from math import inf
from typing import Protocol

import msgspec
import structlog
from copypro.errors import CredentialsRefused, Refused, TerminalError, Unavailable
from copypro.messages import AccountConnected, AccountDisconnected, Seen
from copypro.ports import Terminal
from copypro.trading import (
    AccountInfo,
    History,
    OrdersSeen,
    Quote,
    Snapshot,
    StreamLost,
    StreamOpened,
)

from copypro_account_watcher.history import Importing
from copypro_account_watcher.host import Host
from copypro_account_watcher.looking import Looking
from copypro_account_watcher.market import Market
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.protecting import Protecting
from copypro_account_watcher.proving import Holders, Proving, unseal
from copypro_account_watcher.seen.clock import ClockOffset
from copypro_account_watcher.seen.shown import Shown, are_the_same_trades, by_frame
from copypro_account_watcher.session import Session
from copypro_account_watcher.state import Registration
from copypro_account_watcher.turn import Turn

logger = structlog.get_logger("account-watcher")


Taken = tuple[Snapshot, float, int]
"""A list, when it was asked for, and in which stream."""
Read = tuple[History, float]
"""What history tells, and when it was asked for."""


class Agent(Protocol):
    """Whose account is watched: what follows from a session's begin and end is its own."""

    def connected(self, turn: Turn) -> None: ...

    def lost(self, code: str) -> None: ...

    async def act(self, turn: Turn) -> None: ...


class Watching:
    def __init__(
        self,
        memory: Memory,
        host: Host,
        session: Session,
        market: Market,
        protecting: Protecting,
        proving: Proving,
        agent: Agent,
    ) -> None:
        self._memory, self._host, self._session = memory, host, session
        self._market, self._protecting, self._proving = market, protecting, proving
        self._agent = agent
        self._caught_up = False
        self._connected_at = -inf
        """When the first look of the last session succeeded."""
        self._orders_alone_since: float | None = None
        """Lists have shown no positions beside used margin, only orders."""
        self._unproved_since: float | None = None
        """Something is to be proved, and this session cannot read history."""
        self._streams = 0
        """Counts openings and losses of the stream: a snapshot belongs to one of them."""
        self._stream_open = asyncio.Event()
        self._newest: OrdersSeen | None = None
        """The last frame."""
        self._no_frame_waits = asyncio.Event()
        """Else one is being looked at, and others may be behind it."""
        self._since_asked: list[OrdersSeen] = []
        """Frames that came since then, while a stream's first list was on its way."""
        self._holding = asyncio.Lock()
        self._held: list[OrdersSeen] | None = None
        """Frames that wait for a snapshot; None: none has to."""
        self._looking = Looking(memory, host, session, market, protecting, agent.act)
        self._importing: Importing | None = None

    # --- from the agent -----------------------------------------------------------------------

    def start(self) -> None:
        self._host.spawn(self._run(), f"watch-{self._memory.id[:8]}")

    def want_history(self) -> None:
        """The next look reads it as well."""
        self._looking.want_history()

    async def look_now(self) -> bool:
        """False: there was no list that could be believed."""
        terminal = self._session.terminal
        return terminal is not None and await self._snapshot(terminal)

    async def disconnect(self) -> None:
        self._looking.stop()
        terminal, self._session.terminal = self._session.terminal, None
        self._memory.live.connected = False
        if terminal is not None:
            await terminal.disconnect()

    # --- the session --------------------------------------------------------------------------

    async def _run(self) -> None:
        host, session = self._host, self._session
        failures = brief = 0
        while True:
            session.credentials_changed.clear()
            registration = self._usable()
            if registration is None:
                await session.credentials_changed.wait()
                continue
            session.begin()
            proving = self._proving
            holders = proving.alone(registration)
            is_away = False
            try:
                password = await unseal(host.vault, registration, registration.sealed_password)
                holders = await proving.holders(password)
                terminal = proving.terminal(password, self._memory.known.server)
                info = await terminal.connect()
                await self._follow(terminal, info, registration)
                failures = 0
            except CredentialsRefused as error:
                await self._refused(holders, error)
            except TerminalError as error:
                if not self._memory.live.connected:
                    failures += 1
                else:
                    failures = brief = 1 if self._has_stood() else brief + 1
                is_away = session.terminal is None and error.code == "UNREACHABLE"
                await self._lost(error)
            finally:
                await self.disconnect()
            if failures:
                pause_s = host.limits.reconnect_s(failures, is_bridge_away=is_away)
                await _within(pause_s, session.credentials_changed)

    def _has_stood(self) -> bool:
        """So long that the next login may follow at once."""
        stood_s = self._host.monotonic() - self._connected_at
        return stood_s >= self._host.limits.session_stood_s

    def _usable(self) -> Registration | None:
        """As it is now: what is proved meanwhile changes the agent's own."""
        account = self._memory.account
        usable = None if account is None else account.usable
        return None if usable is None else msgspec.structs.replace(usable)

    async def _until_replaced(self, used: Registration) -> None:
        """Until another password is to be used, or none: one that only tries its luck ends nothing."""
        while True:
            await self._session.credentials_changed.wait()
            self._session.credentials_changed.clear()
            now = self._usable()
            if (
                now is None
                or now.sealed_password != used.sealed_password
                or not self._session.is_current
            ):
                return

    async def _lost(self, error: TerminalError) -> None:
        """Recorded once per cause, not at each of the reconnects that follow."""
        memory, session = self._memory, self._session
        account = memory.known
        is_told = session.ended_by == error.code and not account.connected
        if is_told or not session.is_current:
            logger.debug("not connected", account=memory.id, code=error.code, message=error.message)
            return
        session.ended_by, account.connected, memory.live.connected = error.code, False, False
        account.serial += 1
        turn = Turn(self._host.clock())
        event = AccountDisconnected(account=memory.id, code=error.code, message=error.message)
        turn.fact(memory.id, event, account.serial)
        memory.save_account(turn)
        self._agent.lost(error.code)
        await self._agent.act(turn)

    async def _refused(self, holders: Holders, error: CredentialsRefused) -> None:
        """The password that worked does so no more."""
        account = self._memory.known
        await self._proving.refused_to_all(holders, error)
        if account.connected:
            await self._lost(error)

    async def _follow(
        self, terminal: Terminal, info: AccountInfo, registration: Registration
    ) -> None:
        """Until the session is lost or another password should be used."""
        memory, session = self._memory, self._session
        memory.live = memory.live.anew(info)
        memory.book.follow(info.platform, info.mode)
        session.terminal, self._caught_up = terminal, False
        self._orders_alone_since = self._unproved_since = None
        self._market.new_session(terminal)
        if session.offset.minutes is None:
            session.offset = ClockOffset(memory.known.clock_offset_minutes)
        if memory.known.baseline_done:
            # What was opened and closed, paid in or out meanwhile is only in history.
            self._looking.owe_history()
        self._stream_open.clear()
        self._no_frame_waits.set()
        frames = asyncio.create_task(self._frames_loop(terminal))
        looks = asyncio.create_task(self._looks_loop(terminal, info))
        changed = asyncio.create_task(self._until_replaced(registration))
        tasks = (frames, looks, changed)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _frames_loop(self, terminal: Terminal) -> None:
        async with aclosing(terminal.updates()) as updates:  # type: ignore[type-var]
            async for update in updates:
                match update:
                    case Quote():
                        self._on_quote(update)
                    case OrdersSeen():
                        self._newest = update
                        if not self._caught_up:
                            self._since_asked.append(update)
                            self._session.look_soon()
                        elif self._held is not None:
                            self._held.append(update)
                        else:
                            self._no_frame_waits.clear()
                            await self._looking.frame(update)
                            self._no_frame_waits.set()
                    case StreamLost():
                        self._caught_up = False
                        self._streams += 1
                        self._stream_open.clear()
                        if self._session.said.is_news("stream", update.reason):
                            account = self._memory.id
                            logger.info("stream lost", account=account, reason=update.reason)
                    case StreamOpened():
                        self._session.said.over("stream")
                        self._caught_up = False
                        self._streams += 1
                        self._stream_open.set()
                        if self._memory.known.baseline_done:
                            # What was opened and closed without a stream is only in history.
                            self._looking.owe_history()
                        self._session.look_soon()

    def _on_quote(self, quote: Quote) -> None:
        host, live, offset = self._host, self._memory.live, self._session.offset
        live.mono = host.monotonic()
        live.learn_quote(quote)
        self._protecting.quoted(quote.symbol)
        if quote.time_broker is not None:
            known = offset.minutes
            offset.see(quote.time_broker, host.clock())
            if offset.skew_s is not None:
                host.host_clock.see(self._memory.known.server, offset.skew_s, live.mono)
            if known is None and offset.minutes is not None:
                # What history holds can be dated only now.
                self._looking.want_history()

    async def _looks_loop(self, terminal: Terminal, info: AccountInfo) -> None:
        limits = self._host.limits
        first = True
        await self._wait_for_stream()
        while True:
            self._session.look_wanted.clear()
            is_owed = self._is_proof_owed or self._looking.is_history_due()
            looked = await self._snapshot(terminal, is_owed=is_owed)
            if first and looked:
                await self._connected(info)
                first = False
            if looked and (self._looking.missing or self._looking.is_history_due()):
                looked = await self._read_evidence(terminal)
            # Whatever is due: a list that is overtaken or not whole is not asked for at once.
            wait_s = self._next_look_s() if looked else limits.missing_every_s
            await _within(wait_s, self._session.look_wanted)

    async def _wait_for_stream(self) -> None:
        """The stream first, then the snapshot: what happens in between is in both. A bridge whose
        stream does not open is followed by snapshots alone.
        """
        if not await _within(self._host.limits.stream_wait_s, self._stream_open):
            logger.warning("no stream: following by snapshots", account=self._memory.id)

    def _next_look_s(self) -> float:
        limits = self._host.limits
        is_urgent = self._looking.is_just_missing()
        wait_s = limits.missing_every_s if is_urgent else limits.snapshot_every_s
        history_at = self._looking.history_at
        if history_at is None:
            return wait_s
        return min(wait_s, max(0.01, history_at - self._host.monotonic()))

    async def _connected(self, info: AccountInfo) -> None:
        """A first look succeeded: say so, and let everything that waited go on."""
        memory, host, session = self._memory, self._host, self._session
        account = memory.known
        if not session.is_current:
            return
        self._connected_at = host.monotonic()
        memory.live.connected, session.ended_by = True, ""
        turn = Turn(host.clock())
        account.info, account.connected = info, True
        account.serial += 1
        event = AccountConnected(
            account=memory.id, info=info, clock_offset_minutes=session.offset.minutes
        )
        turn.fact(memory.id, event, account.serial)
        memory.save_account(turn)
        self._agent.connected(turn)
        await self._agent.act(turn)
        if not account.history_done and session.terminal is not None:
            symbols = self._market.list_symbols(session.terminal)
            host.spawn(symbols, f"symbols-{memory.id[:8]}")
            if self._importing is None or self._importing.is_over:
                self._importing = Importing(memory, host, session)
            host.spawn(self._importing.run(session.terminal), f"import-{memory.id[:8]}")

    # --- looks --------------------------------------------------------------------------------

    async def _snapshot(
        self, terminal: Terminal, history: Read | None = None, *, is_owed: bool = True
    ) -> bool:
        """A look at the whole list, beside history that was read before it. False: there was no list
        that could be believed. `is_owed`: somebody waits for it, so frames may have to wait as well.
        """
        self._since_asked = []
        for _ in range(self._host.limits.snapshot_tries):
            taken = await self._whole_list(terminal)
            if taken is not None:
                return await self._look(taken, history)
        if self._caught_up and not is_owed:
            return True  # each frame that overtook it was a newer list, and was looked at
        async with self._holding:
            self._held = []
            try:
                taken = await self._before_frames(terminal)
                is_looked = taken is not None and await self._look(taken, history)
                while self._held:
                    await self._looking.frame(self._held.pop(0))
                return is_looked
            finally:
                if self._held:
                    self._session.look_soon()
                self._held = None

    async def _look(self, taken: Taken, read: Read | None) -> bool:
        snapshot, asked_at, streams = taken
        history, history_asked_at = (None, None) if read is None else read
        if not self._is_believable(snapshot):
            return False
        seen = Seen.MISSED if self._memory.known.baseline_done else Seen.BASELINE
        shown = Shown(
            orders=snapshot.orders,
            figures=snapshot.figures,
            seen=seen,
            closed=() if history is None else history.closed,
            operations=() if history is None else history.operations,
            history_asked_at=history_asked_at,
            asked_at=asked_at,
        )
        # What frames show from now on came after this list: they wait for it to be looked at.
        self._caught_up = streams == self._streams and self._stream_open.is_set()
        since, self._since_asked = self._since_asked, []
        await self._looking.look(shown, *map(by_frame, since))
        return True

    async def _whole_list(self, terminal: Terminal, *, holds: bool = False) -> Taken | None:
        """None: a frame came in between, and it may be older than that one. `holds`: none is looked at."""
        before, streams = self._newest, self._streams
        asked_at = self._host.monotonic()
        snapshot = await terminal.snapshot()
        if streams != self._streams:
            return None
        newest = self._newest
        if newest is not None and newest is not before and self._caught_up and not holds:
            if not are_the_same_trades(snapshot.orders, newest.orders):
                return None
            # Experts move stops all the time: where they are now the frame tells.
            snapshot = Snapshot(orders=newest.orders, figures=newest.figures)
        return snapshot, asked_at, streams

    async def _before_frames(self, terminal: Terminal) -> Taken | None:
        """None: it took longer than frames may wait."""
        try:
            async with asyncio.timeout(self._host.limits.frames_held_s):
                return await self._whole_list(terminal, holds=True)
        except TimeoutError:
            return None

    def _is_believable(self, snapshot: Snapshot) -> bool:
        """A list without positions on an account whose margin is in use is not whole, however often
        it is read: bridges answer so while their data load. Looked at again in a moment. Pending
        orders may be what takes the margin; they are alone for longer than data load, then.
        """
        has_positions = any(not order.kind.is_pending for order in snapshot.orders)
        if snapshot.figures.margin <= 0 or has_positions:
            self._orders_alone_since = None
            self._session.said.over("list")
            return True
        limits = self._host.limits
        now, since = self._host.monotonic(), self._orders_alone_since
        since = self._orders_alone_since = (since or now) if snapshot.orders else None
        if since is not None and now - since >= limits.margined_orders_s:
            return True
        if self._session.said.is_news("list", ""):
            text = "a list without positions beside used margin is not believed"
            logger.warning(text, account=self._memory.id)
        return False

    async def _read_evidence(self, terminal: Terminal) -> bool:
        """History for what vanished and for what nobody answered, applied with a fresh list. False:
        there was no such list. A bridge that has a list and no history goes on to be followed by that;
        where that is not enough for too long, the session is given up.
        """
        memory = self._memory
        limits, now = self._host.limits, self._host.clock()
        offset = timedelta(minutes=self._session.offset.minutes or 0)
        alive = memory.known.alive_at_utc or now
        started = [
            c.attempt.started_at_utc for c in memory.copies.values() if c.attempt is not None
        ]
        margin = timedelta(seconds=limits.history_margin_s)
        since = min([alive, *started]) + offset - margin
        wanted_at = self._looking.take_history_at()
        asked_at = self._host.monotonic()
        try:
            history = await terminal.history(_naive(since), _naive(now + offset + margin))
        except (Refused, Unavailable) as error:
            if self._session.said.is_news("history", error.code):
                logger.warning("history not read", account=memory.id, code=error.code)
            if self._is_unproved_for_long():
                # Bridges load history at the login: in this session it may never come.
                raise
            self._looking.put_off_history()
            return True
        self._unproved_since = None
        self._session.said.over("history")
        await self._after_frames()
        looked = await self._snapshot(terminal, (history, asked_at))
        if not looked and wanted_at is not None:
            self._looking.history_by(wanted_at)
        return looked

    async def _after_frames(self) -> None:
        """What history tells as over may stand in frames that came before it and wait, if not too long."""
        try:
            async with asyncio.timeout(self._host.limits.frames_held_s):
                while not self._no_frame_waits.is_set():
                    await self._no_frame_waits.wait()
        except TimeoutError:
            return

    @property
    def _is_proof_owed(self) -> bool:
        """Of what vanished, or of what a call did that nobody answered."""
        return bool(self._looking.missing) or self._memory.in_doubt

    def _is_unproved_for_long(self) -> bool:
        if not self._is_proof_owed:
            self._unproved_since = None
            return False
        now = self._host.monotonic()
        self._unproved_since = now if self._unproved_since is None else self._unproved_since
        return now - self._unproved_since >= self._host.limits.history_session_s


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Waits for it no longer than this; False: in vain."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _naive(moment: datetime) -> datetime:
    """A broker's clock has no zone."""
    return moment.replace(tzinfo=None)
