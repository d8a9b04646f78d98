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
from typing import TYPE_CHECKING

import msgspec
import structlog
from copypro.envelope import Envelope
from copypro.errors import NotSent, OutcomeUnknown, Refused, StoreUnavailable, TerminalError
from copypro.messages import AttemptStarted, CopyDetached
from copypro.ports import Record, Terminal
from copypro.retcodes import is_listed
from copypro.trading import (
    CloseRequest,
    DeleteRequest,
    Done,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
    TradeRequest,
)
from copypro.values import (
    TAG_LENGTH,
    AccountId,
    AttemptId,
    CopyId,
    Mode,
    RegistrationId,
    digest,
    leg_tag,
)
from msgspec.structs import replace

from copypro_account_watcher import commands, outcomes
from copypro_account_watcher.accepting import about, accept, deny, unplaced
from copypro_account_watcher.alarms import ALARMS, alarms
from copypro_account_watcher.alerts import clear_alert, raise_alert, tell_left_open
from copypro_account_watcher.apart import as_received, compare_clocks
from copypro_account_watcher.book import Book, Closed, Rest, Root
from copypro_account_watcher.following import tie
from copypro_account_watcher.forgotten import Forgotten
from copypro_account_watcher.market import Market
from copypro_account_watcher.overdue import Overdue
from copypro_account_watcher.permission import Permission
from copypro_account_watcher.protecting import Protecting
from copypro_account_watcher.proving import Proving
from copypro_account_watcher.reconcile import Doubt
from copypro_account_watcher.state import (
    Account,
    Attempt,
    Copy,
    Leg,
    LegStatus,
    Origin,
    account_key,
    as_now,
    book_key,
    closed_key,
    copy_key,
)
from copypro_account_watcher.step import Asks, Denies, Queues, Rests, Sends, Waits
from copypro_account_watcher.steps import next_step
from copypro_account_watcher.turn import Turn
from copypro_account_watcher.watching import Watching

if TYPE_CHECKING:
    from copypro_account_watcher.service import Owner

logger = structlog.get_logger("account-watcher")
MOST_PIECES = 8


class AccountAgent:
    def __init__(self, account: AccountId, owner: Owner) -> None:
        self.id = account
        self.owner = owner
        self.account: Account | None = None
        self.book = Book(account)
        self.copies: dict[CopyId, Copy] = {}
        self.by_tag: dict[str, tuple[Copy, Leg]] = {}
        self._forgotten = Forgotten()
        self.calls: set[asyncio.Task[None]] = set()
        self.market = Market(self)
        self.watching = Watching(self)
        self.permission = Permission(self)
        self.protecting = Protecting(self)
        self.proving = Proving(self)
        self.overdue = Overdue(self)
        self._dirty: dict[CopyId, None] = {}
        self._queue: dict[CopyId, None] = {}
        """Copies that wait until no other open is under way, in order."""
        self._blocked: dict[CopyId, None] = {}
        self._symbols_in_flight: set[str] = set()
        self._wakes: dict[CopyId, asyncio.TimerHandle] = {}
        self._doubts: dict[AttemptId, Doubt] = {}
        self._saved_rest: Rest | None = None
        self._started = False

    # --- restoring ----------------------------------------------------------------------------

    def restore(self, kind: str, record: Record) -> None:
        """One of this account's state records, in any order."""
        value = record.value or b""
        match kind:
            case "account":
                self.account = msgspec.json.decode(value, type=Account)
            case "book":
                self.book.restore_rest(value)
            case "root":
                self.book.restore_root(msgspec.json.decode(value, type=Root))
            case "closed":
                self.book.restore_closed(msgspec.json.decode(value, type=Closed))
            case "copy":
                self.know(as_now(msgspec.json.decode(value, type=Copy)))
            case _:
                raise ValueError(f"a state record of no known kind: {record.key}")

    def start(self) -> None:
        """Everything restored or registered: follow the account."""
        if self._started:
            return
        self._started = True
        for copy in self.copies.values():
            self._dirty[copy.copy] = None
            if copy.attempt is not None:
                self._left_behind(copy.attempt)
        self.owner.spawn(self._wake(None), f"agent-{self.id[:8]}-start")
        self.watching.start()
        self.proving.start()
        self.overdue.down("not connected since the start")
        if self.account is not None:
            self.destroy_keys(self.account.doomed)

    def _left_behind(self, attempt: Attempt) -> None:
        """By the owner before. One without outcome may have left: nobody can know any more, so it is
        unresolved from now on, for the longest call and for what a broker may take besides.
        """
        limits = self.owner.limits
        if attempt.unresolved_at_utc is None:
            attempt.unresolved_at_utc = self.owner.clock()
            attempt.wait_s = limits.longest_call_s
            if self.account is not None:
                attempt.wait_s += outcomes.absence_wait_s(self.account.platform, limits)
        self.doubt(attempt)

    def doubt(self, attempt: Attempt) -> Doubt:
        """From now on, if it is a new one."""
        return self._doubts.setdefault(attempt.id, Doubt(self.owner.monotonic()))

    @property
    def in_doubt(self) -> bool:
        return bool(self._doubts)

    def certain(self, attempt: Attempt) -> None:
        self._doubts.pop(attempt.id, None)

    async def disconnect(self) -> None:
        for wake in self._wakes.values():
            wake.cancel()
        self.overdue.stop()
        self.protecting.stop()
        await self.watching.disconnect()

    # --- inputs -------------------------------------------------------------------------------

    def on_command(self, envelope: Envelope, turn: Turn) -> None:
        commands.decide(self, envelope, turn)

    def on_slave_order(self, envelope: Envelope, turn: Turn) -> None:
        order = envelope.message
        origin = Origin(envelope.id, envelope.correlation, envelope.time)
        known = self.copies.get(order.copy)
        is_over = known is None and leg_tag(order.copy, 0) in self._forgotten
        compare_clocks(self, order, turn)
        order = as_received(order, turn.now)
        copy, events = accept(known, order, origin, turn.now, is_over=is_over)
        for event in events:
            turn.execution(event, origin, f"{event.leg}")
            if isinstance(event, CopyDetached):
                tell_left_open(self, event, turn)
        if copy is None:
            return
        self.know(copy)
        self.touch(copy, turn)
        if not self._started:
            self.start()

    def touch(self, copy: Copy, turn: Turn) -> None:
        """The copy changed, or something that it waits for did: record it, and give it a turn."""
        turn.remember(copy_key(self.id, copy.copy), copy)
        self._dirty[copy.copy] = None

    def touch_all(self) -> None:
        self._dirty.update(dict.fromkeys(self.copies))

    def try_again(self) -> None:
        """A new session: nothing that was put off waits any longer."""
        for copy in self.copies.values():
            copy.not_before_utc = None
        self.touch_all()

    # --- the pump -----------------------------------------------------------------------------

    def pump(self, turn: Turn) -> None:
        """Let every copy that has a reason take its next steps; closes first."""
        live = self.market.live
        live.now, live.mono = turn.now, self.owner.monotonic()
        live.connected = self.watching.connected
        self.permission.refresh(turn)
        if live.mode is Mode.NETTING:
            live.held = {
                copy.symbol: copy.copy
                for copy in self.copies.values()
                if copy.symbol and (copy.attempt is not None or copy.standing)
            }
            live.leaving = {copy.copy for copy in self.copies.values() if copy.closing}
        while self._dirty or self._is_queue_open():
            batch = [self.copies[copy] for copy in self._dirty if copy in self.copies]
            self._dirty.clear()
            batch.sort(key=lambda copy: not copy.closing)
            for copy in batch:
                self._advance(copy, turn)

    def _is_queue_open(self) -> bool:
        """The place for an open is free: the next in the queue is looked at."""
        if self.market.live.opening is not None or not self._queue:
            return False
        first = next(iter(self._queue))
        del self._queue[first]
        self._dirty[first] = None
        return True

    def _advance(self, copy: Copy, turn: Turn) -> None:
        until: datetime | None = None
        if (event := unplaced(copy)) is not None:
            turn.execution(event, copy.leg(event.leg).origin or copy.origin, f"{event.leg}/pending")
            turn.remember(copy_key(self.id, copy.copy), copy)
        while True:
            step = next_step(copy, self.market.live)
            match step:
                case Denies():
                    leg = copy.leg(step.leg)
                    origin = leg.origin or copy.origin
                    event = deny(copy, leg, step.denial.code, dict(step.denial.numbers))
                    turn.execution(event, origin, f"{leg.number}")
                    turn.remember(copy_key(self.id, copy.copy), copy)
                    continue
                case Waits():
                    until = step.until
                case Queues():
                    until = step.until
                    self._queue[copy.copy] = None
                case Asks():
                    self.market.ask(copy.copy, step.needs)
                case Sends():
                    self._send(copy, step, turn)
                case Rests():
                    pass
            break
        if copy.over and until is None:
            self._forget(copy, turn)
            return
        times = [time for time in (until, self._alarm(copy, turn)) if time is not None]
        if times:
            self._wake_at(copy, min(times))

    def _send(self, copy: Copy, step: Sends, turn: Turn) -> None:
        """Start the attempt if its place is free and a connection stands ready for it."""
        terminal = self.watching.terminal
        if terminal is None or self.owner.draining:
            return
        opens = step.kind == "open" or step.kind == "place"
        symbol = copy.symbol if self.market.live.mode is Mode.NETTING else ""
        if symbol in self._symbols_in_flight:
            self._blocked[copy.copy] = None
            return
        if not terminal.is_warm():
            self.market.warm(copy.copy, terminal)
            return
        attempt = self._attempt(copy, step, turn.now)
        leg = copy.leg(step.leg)
        copy.attempt = attempt
        if isinstance(step.request, CloseRequest):
            leg.asked_lots = step.expected_lots
            if step.request.lots is not None:
                leg.asked_pieces = [*leg.asked_pieces, step.request.lots][-MOST_PIECES:]
        if opens:
            self.market.live.opening = copy.copy
        if symbol:
            self._symbols_in_flight.add(symbol)
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
        turn.execution(started, leg.origin or copy.origin, attempt.id)
        turn.remember(copy_key(self.id, copy.copy), copy)
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
            longest_call_s=self.owner.limits.longest_call_s,
            expected_lots=step.expected_lots,
            held_lots=step.held_lots,
        )

    # --- the call and its answer --------------------------------------------------------------

    def _call(self, terminal: Terminal, copy: Copy, attempt: Attempt, committed_at: float) -> None:
        task = self.owner.spawn(
            self._call_and_record(terminal, copy, attempt, committed_at), f"call-{attempt.id[:8]}"
        )
        self.calls.add(task)
        task.add_done_callback(self.calls.discard)

    async def _call_and_record(
        self, terminal: Terminal, copy: Copy, attempt: Attempt, committed_at: float
    ) -> None:
        owner = self.owner
        sent_at = owner.clock()
        answer: Done | TerminalError
        late_ms = (owner.monotonic() - committed_at) * 1000
        if late_ms > owner.limits.commit_to_wire_ms:
            answer = NotSent("TOO_LATE", f"{late_ms:.0f} ms after its commit")
        elif attempt.kind == "delete" and copy.leg(attempt.leg).status is not LegStatus.PLACED:
            answer = NotSent("FILLED", "it is no order any more")
        else:
            try:
                answer = await perform(terminal, attempt.request)
            except (Refused, NotSent, OutcomeUnknown) as error:
                answer = error
        turn = Turn(owner.clock())
        self._record(copy, attempt, answer, sent_at, turn)
        self.pump(turn)
        await owner.commit(turn)

    def _record(
        self,
        copy: Copy,
        attempt: Attempt,
        answer: Done | TerminalError,
        sent_at: datetime,
        turn: Turn,
    ) -> None:
        account, limits, now = self.known, self.owner.limits, turn.now
        times = {"sent_at_utc": sent_at, "answered_at_utc": now}
        self._release(copy)
        if copy.attempt is not attempt:
            return  # settled meanwhile by the broker's books: the late answer agrees or is moot
        origin = copy.leg(attempt.leg).origin or copy.origin
        platform = account.platform
        match answer:
            case Done() if answer.filled or attempt.kind != "open":
                answer = self._with_rest(attempt, answer)
                result = outcomes.done(copy, attempt, answer, platform, times)
            case Done():
                error = OutcomeUnknown("PLACED", f"accepted as {answer.ticket}, no deal seen yet")
                result = outcomes.unknown(copy, attempt, error, True, platform, now, limits, times)
            case NotSent():
                result = outcomes.not_sent(copy, attempt, str(answer), now, limits, times)
            case Refused():
                result = outcomes.refused(copy, attempt, answer, platform, now, limits, times)
            case OutcomeUnknown():
                listed = is_listed(answer.code)
                result = outcomes.unknown(
                    copy, attempt, answer, listed, platform, now, limits, times
                )
            case _:
                raise answer
        leg = copy.leg(attempt.leg)
        if attempt.kind in ("close", "delete") and leg.status is LegStatus.ENDED and leg.ticket:
            self.market.live.just_ended[leg.ticket] = self.owner.monotonic()
        if attempt.kind == "delete" and leg.ticket is None and leg.replaced is not None:
            self.market.live.just_ended[leg.replaced] = self.owner.monotonic()
        self.apply(copy, attempt, result, origin, turn)
        is_of_lots = attempt.kind != "modify" and leg.status is LegStatus.OPEN
        if is_of_lots and leg.ticket is not None:
            self.market.live.just_changed[leg.ticket] = self.owner.monotonic()
        commands.finish_removal(self, turn)

    def _with_rest(self, attempt: Attempt, answer: Done) -> Done:
        """Of an order that is deleted no more was left than the latest list showed of it."""
        request = attempt.request
        if not isinstance(request, DeleteRequest):
            return answer
        listed = self.market.live.positions.get(request.ticket)
        if listed is None or not listed.kind.is_pending:
            return answer
        return replace(answer, lots=min(answer.lots or listed.lots, listed.lots))

    def apply(
        self,
        copy: Copy,
        attempt: Attempt,
        result: outcomes.Consequence,
        origin: Origin,
        turn: Turn,
    ) -> None:
        """Record what an attempt led to, and do what follows from it."""
        tie(self.book, copy, copy.leg(attempt.leg))
        for event in result.events:
            turn.execution(event, origin, attempt.id)
        if result.refresh_symbol and copy.symbol:
            self.market.live.forget_symbol(copy.symbol)
        if result.pause_opens:
            self.permission.stopped_by_broker(result.pause_opens, turn)
        if result.counts_as:
            self.permission.count(result.counts_as, turn)
        if result.look:
            self.watching.look_soon()
        self.touch(copy, turn)
        if copy.attempt is None:
            self.certain(attempt)
        elif copy.is_unresolved:
            self.doubt(copy.attempt)
            self.watching.unresolved()

    def _release(self, copy: Copy) -> None:
        """Its call is over: the next in the queue may go."""
        if self.market.live.opening == copy.copy:
            self.market.live.opening = None
        self._symbols_in_flight.discard(copy.symbol)
        self._dirty.update(self._blocked)
        self._blocked.clear()

    def _alarm(self, copy: Copy, turn: Turn) -> datetime | None:
        """Raise and clear what an operator must know of it; when to ask again."""
        wanted, again_at = alarms(copy, turn.now, self.owner.limits)
        if wanted or (self.account is not None and self.account.alerts):
            for name in ALARMS:
                cause, alarm = f"{name}/{copy.copy}", wanted.get(name)
                if alarm is None:
                    clear_alert(self, turn, cause)
                else:
                    raise_alert(self, turn, alarm.code, cause, alarm.text)
        return again_at

    # --- for operators ------------------------------------------------------------------------

    @property
    def session(self) -> str:
        """registered, connecting, connected, disconnected, refused or removed."""
        if self.account is None:
            return "registered"
        if self.account.removed:
            return "removed"
        if self.watching.connected:
            return "connected"
        if self.account.refused:
            return "refused"
        return "disconnected" if self.watching.was_lost else "connecting"

    @property
    def unresolved(self) -> int:
        """Attempts that nobody has settled. Counted at every turn, over all copies."""
        return sum(1 for copy in self.copies.values() if copy.is_unresolved)

    # --- memory and timers --------------------------------------------------------------------

    @property
    def known(self) -> Account:
        assert self.account is not None
        return self.account

    def destroy_keys(self, registrations: Iterable[RegistrationId]) -> None:
        """The data keys of removed registrations; what is cut short is done after the next start."""
        for registration in registrations:
            self.owner.spawn(self._destroy_key(registration), f"key-{registration[:8]}")

    async def _destroy_key(self, registration: RegistrationId) -> None:
        try:
            await self.owner.vault.destroy(registration)
        except StoreUnavailable as error:
            logger.warning("a data key is not destroyed yet", reason=str(error))
            await asyncio.sleep(self.owner.limits.retry_log_s)
            self.destroy_keys((registration,))
            return
        account = self.account
        if account is None or registration not in account.doomed:
            return
        turn = Turn(self.owner.clock())
        account.doomed.remove(registration)
        self.save_account(turn)
        await self.owner.commit(turn)

    def save_account(self, turn: Turn) -> None:
        turn.remember(account_key(self.id), self.account)

    def save_book(self, turn: Turn) -> None:
        """What changed of it beside its open roots, since it was last saved."""
        for root, closed in self.book.unsaved_closed().items():
            turn.remember(closed_key(self.id, root), closed)
        rest = self.book.rest()
        if rest != self._saved_rest:
            self._saved_rest = rest
            turn.remember(book_key(self.id), rest)

    def know(self, copy: Copy) -> None:
        self.copies[copy.copy] = copy
        for leg in copy.legs:
            if not leg.is_extra:
                self.by_tag[leg.tag] = (copy, leg)

    def tagged(self, order: OpenOrder) -> tuple[Copy, Leg] | None:
        """The leg whose tag the order carries, of a copy that is over too. None for the order of another
        copier: also one whose leg waits to be sent, since nothing of ours can have opened it. It is our
        own of a time that this state does not know, where that is an older one brought back.
        """
        account, tag = self.account, order.comment[:TAG_LENGTH]
        if account is None or order.ticket in (*account.strangers, *account.settled_tickets):
            return None
        found = self.by_tag.get(tag) or self._forgotten.get(tag)
        if found is None:
            return None
        copy, leg = found
        is_under_way = copy.attempt is not None and copy.attempt.leg == leg.number
        return None if leg.status is LegStatus.WAITING and not is_under_way else found

    def _forget(self, copy: Copy, turn: Turn) -> None:
        del self.copies[copy.copy]
        for leg in copy.legs:
            if not leg.is_extra:
                self.by_tag.pop(leg.tag, None)
        self._forgotten.add(copy, self.owner.monotonic())
        wake = self._wakes.pop(copy.copy, None)
        if wake is not None:
            wake.cancel()
        for cause in (*ALARMS, "late", "inferred", "mirror"):
            clear_alert(self, turn, f"{cause}/{copy.copy}")
        turn.remember(copy_key(self.id, copy.copy), None)

    def _wake_at(self, copy: Copy, until: datetime) -> None:
        delay_s = max(0.0, (until - self.owner.clock()).total_seconds())
        former = self._wakes.get(copy.copy)
        if former is not None:
            former.cancel()
        loop = asyncio.get_running_loop()
        self._wakes[copy.copy] = loop.call_later(delay_s, self._awake, copy.copy)

    def _awake(self, copy: CopyId) -> None:
        self._wakes.pop(copy, None)
        self.owner.spawn(self._wake([copy]), f"wake-{copy[:8]}")

    async def _wake(self, copies: Iterable[CopyId] | None) -> None:
        """Give these copies (None: those already marked) a turn."""
        turn = Turn(self.owner.clock())
        self._dirty.update(dict.fromkeys(copies or ()))
        self.pump(turn)
        await self.owner.commit(turn)

    def wake(self, copies: Iterable[CopyId]) -> None:
        self.owner.spawn(self._wake(list(copies)), f"wake-{self.id[:8]}")


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
