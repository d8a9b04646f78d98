"""One account: its commands, its copies, its calls. The only code that changes anything at a broker.

Everything happens in turns. A turn changes memory, records what changed in one commit, and only
then lets its effects begin; a trade call is such an effect, so none leaves without its committed
attempt. What is wanted lives in the copies, what stands comes from `watching`, and `steps` says
what to do next; this module only gives each step its turn, its place in the queue and its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

from copypro.envelope import Envelope
from copypro.errors import NotSent, OutcomeUnknown, Refused, TerminalError
from copypro.messages import AttemptStarted, CopyDetached, RemoveAccount
from copypro.ports import Record, Terminal
from copypro.trading import (
    CloseRequest,
    DeleteRequest,
    Done,
    ModifyRequest,
    OpenRequest,
    TradeRequest,
)
from copypro.values import AccountId, AttemptId, CopyId, Mode, digest, leg_tag
from msgspec.structs import replace

from copypro_account_watcher.alarms import ALARMS, alarms
from copypro_account_watcher.alerts import clear_alert, raise_alert, tell_left_open
from copypro_account_watcher.apart import as_received, compare_clocks, see_time, set_back
from copypro_account_watcher.commands import Commands
from copypro_account_watcher.host import Host
from copypro_account_watcher.keys import Keys
from copypro_account_watcher.market import Market
from copypro_account_watcher.memory import Memory
from copypro_account_watcher.overdue import Overdue
from copypro_account_watcher.permission import Permission
from copypro_account_watcher.planned.accepting import about, accept, deny, unplaced
from copypro_account_watcher.planned.step import Asks, Denies, Queues, Rests, Sends, Waits
from copypro_account_watcher.planned.steps import next_step
from copypro_account_watcher.protecting import Protecting
from copypro_account_watcher.proving import Proving
from copypro_account_watcher.removing import finish_removals
from copypro_account_watcher.session import Session
from copypro_account_watcher.settled import outcomes
from copypro_account_watcher.settled.applying import apply
from copypro_account_watcher.settled.asked import halt_if_it_took_more
from copypro_account_watcher.settled.outcomes import Consequence
from copypro_account_watcher.settled.ties import lots_of
from copypro_account_watcher.state import Attempt, Copy, LegStatus, Origin
from copypro_account_watcher.turn import Turn
from copypro_account_watcher.watching import Watching

MOST_PIECES = 8


class AccountAgent:
    def __init__(self, account: AccountId, host: Host) -> None:
        self.id = account
        self.memory = memory = Memory(account, host.limits)
        self.calls: set[asyncio.Task[None]] = set()
        self._host = host
        self._session = session = Session(memory, host)
        self._keys = keys = Keys(memory, host)
        self._market = market = Market(memory, host, session, self._wake_soon, self._look_now)
        self._permission = Permission(memory, host)
        self._overdue = Overdue(memory, host)
        self._protecting = protecting = Protecting(memory, host, session, market, keys)
        self._proving = proving = Proving(memory, host, session, protecting, self.act)
        self._watching = Watching(memory, host, session, market, protecting, proving, self)
        self._commands = Commands(memory, keys, protecting, proving)
        self._queue: dict[CopyId, None] = {}
        """Copies that wait until no other open is under way, in order."""
        self._blocked: dict[CopyId, None] = {}
        self._symbols_in_flight: dict[CopyId, str] = {}
        self._wakes: dict[CopyId, asyncio.TimerHandle] = {}
        self._started = False

    # --- its life -----------------------------------------------------------------------------

    def restore(self, kind: str, record: Record) -> None:
        """One of this account's state records, in any order. Errors: BadRecord (of a newer version)."""
        self.memory.restore(kind, record)

    def start(self) -> None:
        """Everything restored or registered: follow the account."""
        if self._started:
            return
        self._started = True
        now, account = self._host.clock(), self.memory.account
        if account is not None and account.baseline_done:
            self.memory.live.started_at_utc = now
        set_back(self.memory, now)
        for copy in self.memory.copies.values():
            if copy.attempt is not None:
                self._left_behind(copy.attempt)
        self.memory.touch_all()
        self._host.spawn(self._wake(()), f"agent-{self.id[:8]}-start")
        self._watching.start()
        self._proving.start()
        self._overdue.down("not connected since the start")
        self._keys.start()

    def _left_behind(self, attempt: Attempt) -> None:
        """By the owner before. One without outcome may have left: nobody can know any more, so it is
        unresolved from now on, for the longest call and for what a broker may take besides.
        """
        limits, account = self._host.limits, self.memory.account
        if attempt.unresolved_at_utc is None:
            attempt.unresolved_at_utc = self._host.clock()
            attempt.wait_s = limits.longest_call_s
            if account is not None:
                attempt.wait_s += outcomes.absence_wait_s(account.platform, limits)
        self.memory.doubt(attempt, self._host.monotonic())

    def connected(self, turn: Turn) -> None:
        """A session began."""
        self._permission.reconnected(turn)
        self._overdue.up(turn)
        self.memory.try_again()

    def lost(self, code: str) -> None:
        """A session ended, or there was none."""
        self._overdue.down(code)
        self.memory.touch_all()

    async def disconnect(self) -> None:
        for wake in self._wakes.values():
            wake.cancel()
        self._overdue.stop()
        self._protecting.stop()
        await self._watching.disconnect()

    # --- inputs -------------------------------------------------------------------------------

    def on_command(self, envelope: Envelope, turn: Turn) -> None:
        self._see_time(turn)
        self._commands.decide(envelope, turn)
        if isinstance(envelope.message, RemoveAccount):
            # What comes next in this turn finds it gone, and what was never sent is denied: neither
            # waits for a session.
            self.pump(turn)
        if self.memory.account is not None and not self._started:
            turn.then(lambda _: self.start())

    def on_slave_order(self, envelope: Envelope, turn: Turn) -> None:
        memory, order = self.memory, envelope.message
        origin = Origin(envelope.id, envelope.correlation, envelope.time)
        known = memory.copies.get(order.copy)
        is_over = known is None and memory.is_forgotten(leg_tag(order.copy, 0))
        compare_clocks(memory, order, turn)
        order = as_received(order, turn.now)
        copy, events = accept(known, order, origin, turn.now, is_over=is_over)
        for event in events:
            turn.execution(event, origin, f"{event.leg}")
            if isinstance(event, CopyDetached):
                tell_left_open(memory, event, turn)
        if copy is None:
            return
        memory.know(copy)
        memory.touch(copy, turn)
        if not self._started:
            self.start()

    # --- the pump -----------------------------------------------------------------------------

    async def act(self, turn: Turn) -> None:
        """The next steps of every copy that has a reason, recorded with the turn that gave it."""
        self.pump(turn)
        await self._host.commit(turn)

    def pump(self, turn: Turn) -> None:
        """Let every copy that has a reason take its next steps; closes first."""
        self._see_time(turn)
        self._look_as_wanted()
        finish_removals(self.memory, self._keys, self._session, turn)
        self._take_steps(turn)
        if finish_removals(self.memory, self._keys, self._session, turn):
            self._take_steps(turn)

    def _take_steps(self, turn: Turn) -> None:
        memory, live = self.memory, self.memory.live
        live.costs = memory.book.costs
        self._permission.refresh(turn)
        if live.mode is Mode.NETTING:
            live.held = {
                copy.symbol: copy.copy
                for copy in memory.copies.values()
                if copy.symbol and (copy.attempt is not None or copy.standing)
            }
            live.leaving = {copy.copy for copy in memory.copies.values() if copy.closing}
        while memory.marked or self._mark_next_in_queue():
            batch = [memory.copies[copy] for copy in memory.marked if copy in memory.copies]
            memory.marked.clear()
            batch.sort(key=lambda copy: not copy.closing)
            for copy in batch:
                self._advance(copy, turn)

    def _see_time(self, turn: Turn) -> None:
        see_time(self.memory, turn, self._host.monotonic())

    def _look_as_wanted(self) -> None:
        memory = self.memory
        if memory.wants_history:
            self._watching.want_history()
        elif memory.wants_look:
            self._session.look_soon()
        memory.wants_look = memory.wants_history = False

    def _mark_next_in_queue(self) -> bool:
        """False: nobody waits, or the place for an open is taken."""
        if self.memory.live.opening is not None or not self._queue:
            return False
        first = next(iter(self._queue))
        del self._queue[first]
        self.memory.marked[first] = None
        return True

    def _advance(self, copy: Copy, turn: Turn) -> None:
        until: datetime | None = None
        late_since = (copy.levels_late_since_utc, copy.reduction_late_since_utc)
        if (event := unplaced(copy)) is not None:
            turn.execution(event, copy.origin_of(copy.leg(event.leg)), f"{event.leg}/pending")
            self.memory.save(copy, turn)
        while True:
            step = next_step(copy, self.memory.live)
            match step:
                case Denies():
                    leg = copy.leg(step.leg)
                    event = deny(copy, leg, step.denial.code, dict(step.denial.numbers))
                    turn.execution(event, copy.origin_of(leg), f"{leg.number}")
                    self.memory.save(copy, turn)
                    continue
                case Waits():
                    until = step.until
                case Queues():
                    until = step.until
                    self._queue[copy.copy] = None
                case Asks():
                    self._market.ask(copy.copy, step.needs)
                case Sends():
                    self._send(copy, step, turn)
                case Rests():
                    pass
            break
        if copy.over and until is None:
            self._forget(copy, turn)
            return
        if (copy.levels_late_since_utc, copy.reduction_late_since_utc) != late_since:
            self.memory.save(copy, turn)
        times = [time for time in (until, self._alarm(copy, turn)) if time is not None]
        if times:
            self._wake_at(copy, min(times))

    def _send(self, copy: Copy, step: Sends, turn: Turn) -> None:
        """Start the attempt if its place is free and a connection stands ready for it."""
        terminal = self._session.terminal
        if terminal is None or self._host.draining:
            return
        symbol = copy.symbol if self.memory.live.mode is Mode.NETTING else ""
        if symbol in self._symbols_in_flight.values():
            self._blocked[copy.copy] = None
            return
        if not terminal.is_warm():
            self._market.warm(copy.copy, terminal)
            return
        attempt = self._attempt(copy, step, turn.now)
        leg = copy.leg(step.leg)
        copy.attempt = attempt
        self.memory.live.called(copy.copy)
        if isinstance(step.request, CloseRequest):
            leg.asked_lots = step.expected_lots
            if step.request.lots is not None:
                leg.asked_pieces = [*leg.asked_pieces, step.request.lots][-MOST_PIECES:]
        if attempt.opens:
            self.memory.live.opening = copy.copy
        if symbol:
            self._symbols_in_flight[copy.copy] = symbol
        quote = step.quote
        started = AttemptStarted(
            **about(copy, leg.number),
            attempt=attempt.id,
            request=step.request,
            tag=leg.tag,
            longest_call_s=attempt.longest_call_s,
            tries=attempt.tries,
            bid=quote.bid if quote else None,
            ask=quote.ask if quote else None,
            numbers=step.numbers,
            seen_at_utc=leg.order.seen_at_utc if leg.order is not None else None,
        )
        turn.execution(started, copy.origin_of(leg), attempt.id)
        self.memory.save(copy, turn)
        turn.then(lambda at: self._call(terminal, copy, attempt, at))

    def _attempt(self, copy: Copy, step: Sends, now: datetime) -> Attempt:
        copy.serial += 1
        return Attempt(
            id=AttemptId(digest("attempt", copy.copy, step.leg, step.kind, copy.serial)),
            kind=step.kind,
            leg=step.leg,
            request=step.request,
            started_at_utc=now,
            tries=copy.tries,
            longest_call_s=self._host.limits.longest_call_s,
            expected_lots=step.expected_lots,
            held_lots=step.held_lots,
        )

    # --- the call and its answer --------------------------------------------------------------

    def _call(self, terminal: Terminal, copy: Copy, attempt: Attempt, committed_at: float) -> None:
        task = self._host.spawn(
            self._call_and_record(terminal, copy, attempt, committed_at), f"call-{attempt.id[:8]}"
        )
        self.calls.add(task)
        task.add_done_callback(self.calls.discard)

    async def _call_and_record(
        self, terminal: Terminal, copy: Copy, attempt: Attempt, committed_at: float
    ) -> None:
        host = self._host
        sent_at = host.clock()
        answer: Done | TerminalError
        late_ms = (host.monotonic() - committed_at) * 1000
        if late_ms > host.limits.commit_to_wire_ms:
            answer = NotSent("TOO_LATE", f"{late_ms:.0f} ms after its commit")
        elif attempt.kind == "delete" and copy.leg(attempt.leg).status is not LegStatus.PLACED:
            answer = NotSent("FILLED", "it is no order any more")
        else:
            try:
                answer = await perform(terminal, attempt.request)
            except (Refused, NotSent, OutcomeUnknown) as error:
                answer = error
        turn = Turn(host.clock())
        self._record(copy, attempt, answer, sent_at, turn)
        await self.act(turn)

    def _record(
        self,
        copy: Copy,
        attempt: Attempt,
        answer: Done | TerminalError,
        sent_at: datetime,
        turn: Turn,
    ) -> None:
        self._see_time(turn)
        self._release(copy)
        if copy.attempt is not attempt:
            return  # settled meanwhile by the broker's books: the late answer agrees or is moot
        result = self._outcome(copy, attempt, answer, sent_at, turn)
        live, leg = self.memory.live, copy.leg(attempt.leg)
        if attempt.kind in ("close", "delete") and leg.status is LegStatus.ENDED and leg.ticket:
            live.just_ended[leg.ticket] = live.mono
        if attempt.kind == "delete" and leg.ticket is None and leg.replaced is not None:
            live.just_ended[leg.replaced] = live.mono
        apply(self.memory, copy, attempt, result, turn)
        if attempt.kind == "modify" and leg.ticket is not None:
            live.just_modified[leg.ticket] = live.mono
        elif leg.status is LegStatus.OPEN and leg.ticket is not None:
            live.just_changed[leg.ticket] = live.mono
            if attempt.kind == "open":
                held_lots = lots_of([each for each in copy.legs if each.ticket == leg.ticket])
                live.learn_opened(leg.ticket, copy.symbol, copy.side, leg.lots, held_lots)

    def _outcome(
        self,
        copy: Copy,
        attempt: Attempt,
        answer: Done | TerminalError,
        sent_at: datetime,
        turn: Turn,
    ) -> Consequence:
        memory, limits, now = self.memory, self._host.limits, turn.now
        platform = memory.known.platform
        times = {"sent_at_utc": sent_at, "answered_at_utc": now}
        if isinstance(answer, Done) and attempt.kind == "open" and not answer.filled:
            answer = OutcomeUnknown("PLACED", f"accepted as {answer.ticket}, no deal seen yet")
        match answer:
            case Done():
                answer = self._with_rest(attempt, answer)
                halt_if_it_took_more(memory, copy, attempt, turn)
                return outcomes.done(copy, attempt, answer, platform, times)
            case NotSent():
                return outcomes.not_sent(copy, attempt, str(answer), now, limits, times)
            case Refused():
                return outcomes.refused(copy, attempt, answer, platform, now, limits, times)
            case OutcomeUnknown():
                return outcomes.unknown(copy, attempt, answer, platform, now, limits, times)
            case _:
                raise answer

    def _with_rest(self, attempt: Attempt, answer: Done) -> Done:
        """Of an order that is deleted no more was left than the latest list showed of it."""
        request = attempt.request
        if not isinstance(request, DeleteRequest):
            return answer
        listed = self.memory.live.positions.get(request.ticket)
        if listed is None or not listed.kind.is_pending:
            return answer
        return replace(answer, lots=min(answer.lots or listed.lots, listed.lots))

    def _release(self, copy: Copy) -> None:
        """Its call is over: the next in the queue may go."""
        if self.memory.live.opening == copy.copy:
            self.memory.live.opening = None
        self._symbols_in_flight.pop(copy.copy, None)
        self.memory.marked.update(self._blocked)
        self._blocked.clear()

    def _alarm(self, copy: Copy, turn: Turn) -> datetime | None:
        """Raise and clear what an operator must know of it; when to ask again."""
        memory, account, limits = self.memory, self.memory.account, self._host.limits
        wanted, again_at = alarms(copy, turn.now, limits, is_connected=memory.live.connected)
        if wanted or (account is not None and account.alerts):
            for name in ALARMS:
                cause, alarm = f"{name}/{copy.copy}", wanted.get(name)
                if alarm is None:
                    clear_alert(memory, turn, cause)
                else:
                    raise_alert(memory, turn, alarm.code, cause, alarm.text)
        return again_at

    def _forget(self, copy: Copy, turn: Turn) -> None:
        self.memory.forget(copy, self._host.monotonic(), turn)
        wake = self._wakes.pop(copy.copy, None)
        if wake is not None:
            wake.cancel()
        for cause in (*ALARMS, "late", "inferred", "mirror"):
            clear_alert(self.memory, turn, f"{cause}/{copy.copy}")

    # --- for operators ------------------------------------------------------------------------

    @property
    def session(self) -> str:
        """registered, connecting, connected, disconnected, refused or removed."""
        account = self.memory.account
        if account is None:
            return "registered"
        if account.removed:
            return "removed"
        if self.memory.live.connected:
            return "connected"
        if account.refused:
            return "refused"
        return "disconnected" if self._session.ended_by else "connecting"

    # --- timers -------------------------------------------------------------------------------

    def _wake_at(self, copy: Copy, until: datetime) -> None:
        delay_s = max(0.0, (until - self._host.clock()).total_seconds())
        former = self._wakes.get(copy.copy)
        if former is not None:
            former.cancel()
        loop = asyncio.get_running_loop()
        self._wakes[copy.copy] = loop.call_later(delay_s, self._awake, copy.copy)

    def _awake(self, copy: CopyId) -> None:
        self._wakes.pop(copy, None)
        self._host.spawn(self._wake([copy]), f"wake-{copy[:8]}")

    def _wake_soon(self, copies: Iterable[CopyId]) -> None:
        self._host.spawn(self._wake(tuple(copies)), f"wake-{self.id[:8]}")

    async def _wake(self, copies: Iterable[CopyId]) -> None:
        """Give these, and those already marked, a turn."""
        self.memory.marked.update(dict.fromkeys(copies))
        await self.act(Turn(self._host.clock()))

    async def _look_now(self) -> bool:
        return await self._watching.look_now()


async def perform(terminal: Terminal, request: TradeRequest) -> Done:
    """The one place where a request becomes a call."""
    match request:
        case OpenRequest():
            return await terminal.open(request)
        case ModifyRequest():
            return await terminal.modify(request)
        case CloseRequest():
            return await terminal.close(request)
        case DeleteRequest():
            return await terminal.delete(request)
