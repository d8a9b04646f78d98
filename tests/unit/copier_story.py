"""What users do with copiers while masters trade, in any order of the two topics; and what must be told of
it, from what the record itself says: its copiers, pauses and options are those that were in force.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

from copypro import messages as m
from copypro import topics
from copypro.envelope import Envelope, decode
from copypro.messages import OpenCopies, Seen, StopReason
from copypro.options import CopierOptions, FilterMode, PendingMode, SideFilter, SymbolMapping
from copypro.ports import Record
from copypro.values import (
    AccountId,
    CopierId,
    CopyId,
    OrderKind,
    RegistrationId,
    RootId,
    Side,
    UserId,
    copy_id,
)
from msgspec import Struct
from msgspec.structs import replace

from tests.unit import copying_builders as given
from tests.unit.copying_builders import SLAVES, Desk, at

D = Decimal
FIRST, SECOND = given.MASTER, given.OTHER_MASTER
PAIRS = (
    *((FIRST, slave) for slave in SLAVES[:3]),
    (SECOND, SLAVES[0]),
    (SLAVES[0], SLAVES[3]),
)
"""One master to three, two masters to one, and a slave that is a master itself."""
MASTERS = (FIRST, SECOND, SLAVES[0])
USERS = (UserId("one"), UserId("other"))
LOTS = tuple(D(lots) for lots in ("0.01", "0.40", "1.00"))
KINDS = (OrderKind.BUY_LIMIT, OrderKind.SELL_STOP)
AS_FOLLOWED = (m.ModifyCopy, m.ReduceCopy, m.ModifyPendingCopy, m.RemovePendingCopy)


class Trade(Struct):
    """A root of a master, as its broker has it."""

    master: AccountId
    root: RootId
    side: Side
    kind: OrderKind | None
    whole: Decimal
    is_a_copy: bool
    magic: int
    comment: str
    is_pending: bool
    opened: bool = False
    open: Decimal = D(0)
    ever: Decimal = D(0)
    legs: int = 0
    stop: Decimal | None = None
    price: Decimal = D("1.05")
    over: bool = False
    closing_seen: Seen = Seen.LIVE


class Masters:
    """Draws what happens, as records to come of each topic."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.trades: list[Trade] = []
        self.count = 0
        self.time = 0.0
        self.level = 0
        self.copiers: dict[tuple[AccountId, AccountId], CopierId] = {}
        self.generation: Counter[tuple[UserId, AccountId]] = Counter()
        self.removed: set[tuple[UserId, AccountId]] = set()
        if seed % 2:
            self.removed = {(USERS[1], account) for pair in PAIRS for account in pair}
        self.last_removed: defaultdict[AccountId, set[RegistrationId]] = defaultdict(set)
        self.never = set(self.removed)
        self.owner: dict[tuple[AccountId, AccountId], UserId] = {}
        self.away: set[AccountId] = set()

    def registration(self, user: UserId, account: AccountId) -> RegistrationId:
        return RegistrationId(f"{user}/{account[:6]}/{self.generation[user, account]}")

    # --- events: lists of looks ------------------------------------------------------------------

    def look(self) -> list[Any]:
        dice = self.dice
        self.time += dice.choice((0.3, 1, 4, 90))
        live = [t for t in self.trades if not t.over]
        kind = dice.random()
        master = dice.choice(MASTERS)
        if master in self.away:
            return self._back(master) if kind < 0.3 else []
        live = [t for t in live if t.master not in self.away]
        if kind < 0.03:
            return self._rights(master)
        if not live or kind < 0.25:
            return self._begin(master)
        trade = dice.choice(live)
        return self._goes_on(trade)

    def _begin(self, master: AccountId) -> list[Any]:
        dice = self.dice
        self.count += 1
        is_pending = dice.random() < 0.4
        kind = dice.choice(KINDS) if is_pending else None
        is_a_copy = master == SLAVES[0] and dice.random() < 0.6
        trade = Trade(
            master=master,
            root=RootId(str(self.count)),
            side=kind.side if kind else dice.choice(list(Side)),
            kind=kind,
            whole=dice.choice(LOTS),
            is_a_copy=is_a_copy,
            magic=dice.choice((0, 7)),
            comment=dice.choice(("", "swing")),
            is_pending=is_pending,
        )
        self.trades.append(trade)
        if is_pending:
            return [self._placed(trade)]
        seen = dice.choice((Seen.LIVE, Seen.LIVE, Seen.LIVE, Seen.MISSED, Seen.BASELINE))
        look = [self._opened(trade, trade.whole, seen)]
        if seen is Seen.MISSED and dice.random() < 0.6:
            look += self._goes_on(trade, seen=Seen.MISSED)
            if trade.over and dice.random() < 0.5:
                look[0] = replace(look[0], context=None)
        return look

    def _of(self, trade: Trade) -> dict[str, Any]:
        return {"account": trade.master, "root": trade.root}

    def _stop(self) -> Decimal | None:
        self.level += 1
        return self.dice.choice((None, D("1.0") + D(self.level) / 100000))

    def _copy(self, trade: Trade) -> CopyId | None:
        return copy_id(FIRST, SLAVES[0], trade.root) if trade.is_a_copy else None

    def _placed(self, trade: Trade, seen: Seen = Seen.LIVE) -> Any:
        trade.stop = self._stop()
        return given.placed(
            trade.root,
            account=trade.master,
            kind=trade.kind,
            lots=trade.whole,
            price=trade.price,
            stop_loss=trade.stop,
            magic=trade.magic,
            comment=trade.comment,
            copy=self._copy(trade),
            seen=seen,
            seen_at_utc=at(self.time),
            placed_at_utc=at(self.time),
            context=self._context(),
        )

    def _context(self) -> Any:
        return given.CONTEXT

    def _opened(self, trade: Trade, lots: Decimal, seen: Seen) -> Any:
        trade.opened, trade.open, trade.ever = True, lots, lots
        trade.stop = self._stop()
        when = self.time - (0.1 if seen is Seen.LIVE else self.dice.choice((0.2, 30, 3000)))
        at_utc = None if seen is not Seen.LIVE and self.dice.random() < 0.3 else at(when)
        return given.opened(
            trade.root,
            account=trade.master,
            side=trade.side,
            lots=lots,
            stop_loss=trade.stop,
            magic=trade.magic,
            comment=trade.comment,
            copy=self._copy(trade),
            from_pending=trade.is_pending,
            seen=seen,
            seen_at_utc=at(self.time),
            opened_at_utc=at_utc,
            context=self._context(),
        )

    def _goes_on(self, trade: Trade, seen: Seen = Seen.LIVE) -> list[Any]:
        dice, of = self.dice, self._of(trade)
        act = dice.random()
        if not trade.opened:
            if act < 0.3:
                trade.price, trade.stop = trade.price + D("0.001"), self._stop()
                changed = replace(
                    given.pending_modified("1"),
                    **of,
                    price=trade.price,
                    stop_loss=trade.stop,
                    seen_at_utc=at(self.time),
                )
                return [changed]
            if act < 0.5:
                trade.over = True
                return [replace(given.pending_removed(), **of, seen_at_utc=at(self.time))]
            part = trade.whole if act < 0.7 else (trade.whole * D("0.4")).quantize(D("0.01"))
            if part == 0:
                part = trade.whole
            how = dice.choice((Seen.LIVE, Seen.LIVE, Seen.MISSED))
            found = [self._opened(trade, part, how)]
            if how is Seen.MISSED and dice.random() < 0.6:
                found += self._goes_on(trade, Seen.MISSED)
                if trade.over and dice.random() < 0.5:
                    found[0] = replace(found[0], context=None)
            return found
        rest = trade.whole - trade.ever
        if trade.is_pending and rest > 0 and act < 0.3:
            if act < 0.1:
                trade.whole = trade.ever
                return [replace(given.pending_removed(), **of, seen_at_utc=at(self.time))]
            return [self._increased(trade, rest)]
        if act < 0.4:
            trade.stop = self._stop()
            return [
                replace(
                    given.modified(None, None),
                    **of,
                    stop_loss=trade.stop,
                    seen_at_utc=at(self.time),
                )
            ]
        if act < 0.55 and seen is Seen.LIVE:
            return [self._increased(trade, dice.choice(LOTS))]
        if act < 0.75 and trade.open >= D("0.02"):
            trade.open = (trade.open * dice.choice((D("0.5"), D("0.3")))).quantize(D("0.01"))
            trade.open = max(trade.open, D("0.01"))
            return [
                replace(
                    given.reduced(str(trade.open), str(trade.ever)), **of, seen_at_utc=at(self.time)
                )
            ]
        trade.over = True
        return [replace(given.closed(), **of, seen=seen, seen_at_utc=at(self.time))]

    def _increased(self, trade: Trade, lots: Decimal) -> Any:
        trade.legs += 1
        trade.open += lots
        trade.ever += lots
        return given.increased(
            trade.legs,
            str(lots),
            str(trade.ever),
            account=trade.master,
            root=trade.root,
            side=trade.side,
            open_lots=trade.open,
            stop_loss=trade.stop,
            seen_at_utc=at(self.time),
            copy=self._copy(trade) and self.dice.choice((None, self._copy(trade))),
            context=self._context(),
        )

    def _rights(self, master: AccountId) -> list[Any]:
        dice = self.dice
        user = dice.choice(USERS)
        if (user, master) in self.removed:
            return []
        return [
            m.AccountUpdated(
                account=master,
                registration=self.registration(user, master),
                name="m",
                enabled=dice.random() < 0.7,
                rights=dice.choice((m.Rights.NONE, m.Rights.READ, m.Rights.TRADE)),
            )
        ]

    def removal(self, oracle: Oracle) -> tuple[list[Any], list[Any]]:
        """Of a registration: the commands and, from the watcher, the event."""
        dice = self.dice
        user, account = dice.choice(USERS), dice.choice((*MASTERS, SLAVES[1]))
        if account in self.away or (user, account) in self.removed:
            return [], []
        gone = self.registration(user, account)
        fate = dice.choice((OpenCopies.LEAVE, OpenCopies.LEAVE, OpenCopies.CLOSE))
        stops = []
        for (master, slave), state in oracle.copiers.items():
            if gone in (state.master_registration, state.slave_registration):
                reason = (
                    StopReason.MASTER_REMOVED
                    if gone == state.master_registration
                    else StopReason.SLAVE_REMOVED
                )
                stops.append(
                    m.StopCopier(
                        copier=state.copier, master=master, open_copies=fate, reason=reason
                    )
                )
                self.copiers.pop((master, slave), None)
        other = USERS[1 - USERS.index(user)]
        last = (other, account) in self.removed
        self.removed.add((user, account))
        if last:
            self.away.add(account)
        self.last_removed[account].add(gone)
        event = m.AccountRemoved(account=account, registration=gone, last=last)
        return stops, [event] if account in MASTERS else []

    def comes_back(self, user: UserId, account: AccountId) -> None:
        if (
            account in MASTERS
            and (self.generation[user, account] or (user, account) not in self.never)
            and self.registration(user, account) not in self.oracle.gone
        ):
            return
        self.removed.discard((user, account))
        self.generation[user, account] += 1

    def _back(self, master: AccountId) -> list[Any]:
        """Added again: what still stands is found by its first look."""
        if not self.last_removed[master] <= self.oracle.gone:
            return []
        user = self.dice.choice(USERS)
        self.comes_back(user, master)
        if (user, master) in self.removed:
            return []
        self.away.discard(master)
        look = []
        for trade in self.trades:
            if trade.over or trade.master != master:
                continue
            if self.dice.random() < 0.3:
                trade.over = True
                continue
            trade.stop = self._stop()
            if not trade.opened:
                look.append(self._placed(trade, Seen.BASELINE))
                continue
            trade.legs = 0
            if trade.open > D("0.02") and self.dice.random() < 0.5:
                trade.open = D("0.02")
            trade.whole = trade.open
            look.append(self._opened(trade, trade.open, Seen.BASELINE))
        return look

    # --- commands ---------------------------------------------------------------------------------

    def command(self) -> list[Any]:
        dice = self.dice
        pair = dice.choice(PAIRS)
        copier = self.copiers.get(pair)
        act = dice.random()
        for user in USERS:
            for account in pair:
                is_gone = (user, account) in self.removed and account not in self.away
                if is_gone and dice.random() < 0.3:
                    self.comes_back(user, account)
                if account in self.away and account not in MASTERS and dice.random() < 0.3:
                    self.away.discard(account)
                    self.comes_back(user, account)
        if copier is None or act < 0.2:
            start = self._start(pair)
            return [start] if start is not None else []
        of = {"copier": copier, "master": pair[0]}
        if act < 0.35:
            return [m.UpdateCopier(**of, options=self._options())]
        if act < 0.5:
            why = dice.choice(("ByUser", "ByUser", "EquityProtection", "MasterAccountDisable"))
            return [m.PauseCopier(**of, reason=why, unless_paused=why == "EquityProtection")]
        if act < 0.75:
            return [
                m.ResumeCopier(
                    **of,
                    market=dice.choice(({}, {"EURUSD": D("1.081")})),
                    only_from=dice.choice(("", "", "EquityProtection")),
                )
            ]
        if act < 0.8:
            mapping = SymbolMapping(master_symbol="EURUSD", slave_symbol="EURUSD.x")
            return [m.MapSymbol(**of, mapping=mapping)]
        if act < 0.82:
            return [m.UnmapSymbol(**of, master_symbol="EURUSD")]
        reason = dice.choice((StopReason.BY_USER, StopReason.BY_USER, *StopReason))
        fate = dice.choice(list(OpenCopies))
        stop = m.StopCopier(**of, open_copies=fate, reason=reason)
        if dice.random() < 0.8:
            del self.copiers[pair]
        return [stop] * dice.choice((1, 1, 2))

    def _start(self, pair: tuple[AccountId, AccountId]) -> Any:
        dice = self.dice
        user = dice.choice((USERS[0], USERS[0], USERS[0], USERS[1]))
        if any((user, account) in self.removed for account in pair):
            self.copiers.pop(pair, None)
            return None
        self.count += 1
        copier = CopierId(f"c{self.count}")
        self.copiers.setdefault(pair, copier)
        wish = given.start(copier, slave=pair[1], master=pair[0], user=user)
        return replace(
            wish,
            options=self._options(),
            paused=dice.random() < 0.3,
            master_registration=self.registration(user, pair[0]),
            slave_registration=self.registration(user, pair[1]),
            market=dice.choice(({}, {"EURUSD": D("1.081")})),
        )

    def _options(self) -> CopierOptions:
        dice = self.dice
        return CopierOptions(
            risk_value=D(dice.randint(1, 99)),
            pending_mode=dice.choice(list(PendingMode)),
            copy_existing_trades=dice.random() < 0.5,
            reverse_copy=dice.random() < 0.2,
            filter_side=dice.choice((SideFilter.ALL, SideFilter.ALL, SideFilter.BUY_ONLY)),
            filter_magic=dice.choice((FilterMode.NONE, FilterMode.NONE, FilterMode.IGNORE)),
            filter_magic_value=7,
            filter_comment=dice.choice((FilterMode.NONE, FilterMode.NONE, FilterMode.COPY)),
            filter_comment_value="swing",
        )


# --- what must be told ----------------------------------------------------------------------------


class Known(Struct):
    """A root as the records that were read say."""

    about: Any
    """Its position, or the pending order it is."""
    offset: int
    legs: dict[int, Any] = {}
    """Each event that added to it: 0 is its opening."""
    open: Decimal = D(0)
    stop: Decimal | None = None
    price: Decimal | None = None
    placed: Any = None
    watched: bool = True


class Copied(Struct):
    """One pair's copy of a root."""

    copier: CopierId
    is_pending: bool = False
    legs: dict[int, tuple[Decimal, Decimal]] = {}
    """By number: the master's lots of it, and what the master left of them since."""
    bases: dict[int, Decimal] = {}
    stop: Decimal | None = None
    price: Decimal | None = None
    fraction: Decimal = D(1)
    ended: str = ""
    is_former: bool = False
    """Of a generation of the master's that is over."""


Pair = tuple[AccountId, AccountId]


class Oracle:
    def __init__(self) -> None:
        self.copiers: dict[Pair, m.Copier] = {}
        self.starts: dict[CopierId, m.CopierStarted] = {}
        self.roots: dict[tuple[AccountId, RootId], Known] = {}
        self.copies: dict[tuple[AccountId, AccountId, RootId], Copied] = {}
        self.outcomes: dict[tuple[CopierId, AccountId, RootId, int, bool], Any] = {}
        self.ran: dict[CopierId, float] = {}
        self.gone: set[RegistrationId] = set()
        self.bad: set[RegistrationId] = set()
        self.paused: dict[CopierId, str] = {}
        self.just_gone: set[tuple[AccountId, RootId]] = set()
        self.wrong: list[str] = []
        self.part_of_first: dict[Any, set[int]] = {}

    def says(self, text: str) -> None:
        self.wrong.append(text)

    # --- inputs ---

    def takes(self, envelope: Envelope, offset: int) -> None:
        event = envelope.message
        if isinstance(event, given.COMMANDS):
            self._wishes(event)
            return
        match event:
            case m.PositionOpened() | m.PendingPlaced():
                key = (event.account, event.root)
                known = self.roots.get(key)
                if known is not None and not known.watched:
                    self.again(key)
                    known = None
                if known is None:
                    known = self.roots[key] = Known(about=event, offset=offset)
                known.about, known.offset = event, offset
                known.stop = event.stop_loss
                if isinstance(event, m.PositionOpened):
                    known.legs[0] = event
                    known.open = event.lots
                else:
                    known.placed, known.price = event, event.price
            case m.PositionIncreased():
                known = self.roots[event.account, event.root]
                known.legs[event.leg] = event
                known.open = event.open_lots
            case m.PositionReduced():
                known = self.roots[event.account, event.root]
                share = event.open_lots / known.open
                known.open = event.open_lots
                for copied in self._copies_of(event):
                    for number, (lots, left) in copied.legs.items():
                        copied.legs[number] = lots, left * share
            case m.PositionModified():
                self.roots[event.account, event.root].stop = event.stop_loss
            case m.PendingModified():
                known = self.roots[event.account, event.root]
                known.stop, known.price = event.stop_loss, event.price
            case m.AccountUpdated():
                self._rights(event, event.rights is m.Rights.NONE or not event.enabled)
            case m.AccountRemoved():
                self.gone.add(event.registration)
                self._rights(event, True)
                if event.last:
                    for key, known in self.roots.items():
                        if key[0] == event.account and known.watched:
                            known.watched = False
                            self.just_gone.add(key)
            case m.PendingRemoved():
                key = (event.account, event.root)
                if 0 not in self.roots[key].legs:
                    self._over(key)
            case m.PositionClosed():
                self._over((event.account, event.root))

    def _rights(self, event: Any, bad: bool) -> None:
        if event.registration in self.gone:
            bad = True
        (self.bad.add if bad else self.bad.discard)(event.registration)
        for state in self.copiers.values():
            if state.master_registration != event.registration:
                continue
            why = self.paused.get(state.copier, "")
            if event.registration in self.gone or (bad and why in ("", "protector")):
                self.paused[state.copier] = "auto"
            elif not bad and why == "auto":
                self.paused[state.copier] = ""

    def _wishes(self, wish: Any) -> None:
        state = next(
            (s for s in self.copiers.values() if s.copier == getattr(wish, "copier", "")), None
        )
        if isinstance(wish, m.StartCopier):
            self.started = wish
        elif state is None:
            return
        elif isinstance(wish, m.PauseCopier):
            why = self.paused.get(state.copier, "")
            if wish.unless_paused and not why:
                self.paused[state.copier] = "protector"
            elif not wish.unless_paused:
                self.paused[state.copier] = "user"
        elif isinstance(wish, m.ResumeCopier):
            why = self.paused.get(state.copier, "")
            if wish.only_from and why != "protector":
                return
            self.paused[state.copier] = "auto" if state.master_registration in self.bad else ""

    def again(self, key: Any) -> None:
        for of in list(self.outcomes):
            is_kept = any((copy[0], copy[2]) == key for copy in self.copies)
            again = getattr(self.outcomes[of], "code", "") == "ALREADY_COPIED"
            if (of[1], of[2]) == key and (of[3] > 0 or again or not is_kept):
                del self.outcomes[of]
        for of, copied in self.copies.items():
            if (of[0], of[2]) == key:
                copied.is_former = True

    def _copies_of(self, event: Any) -> list[Copied]:
        return [c for (a, _, r), c in self.copies.items() if (a, r) == (event.account, event.root)]

    def _over(self, key: tuple[AccountId, RootId]) -> None:
        """Checked when the outputs of its step are read."""
        self.closing = {*getattr(self, "closing", set()), key}

    # --- outputs ---

    def told(self, event: Any) -> None:
        match event:
            case m.CopierStarted() as started:
                state = started.state
                self.copiers[state.master, state.slave] = state
                self.starts.setdefault(state.copier, started)
                wish = self.started
                bad = state.master_registration in self.bad
                self.paused[state.copier] = "user" if wish.paused else "auto" if bad else ""
                if (wish.options, wish.master_registration) != (
                    state.options,
                    state.master_registration,
                ):
                    self.says(f"started as another {brief(event)}")
            case m.CopierUpdated() | m.CopierPaused() | m.CopierResumed():
                self.copiers[event.state.master, event.state.slave] = event.state
            case m.CopierStopped():
                state = self.copiers.pop((event.master, event.slave))
                self._stopped(event, state)
            case m.CopyPlanned() | m.CopySkipped():
                self._decided(event)
            case m.OpenCopy() | m.PlacePendingCopy():
                self._asked_to_open(event)
            case m.CloseCopy() | m.DetachCopy():
                self._ended(event)
            case m.CommandDenied():
                pass
            case _:
                self._asked(event)

    def _stopped(self, event: m.CopierStopped, state: m.Copier) -> None:
        fate = event.open_copies
        if event.reason is StopReason.MASTER_REMOVED and fate is OpenCopies.FOLLOW:
            fate = OpenCopies.LEAVE
        self.fates = getattr(self, "fates", [])
        copies = [
            copied
            for key, copied in self.copies.items()
            if key[:2] == (event.master, event.slave)
            and (fate is not OpenCopies.LEAVE or self._is_left_by(event, key[2], copied))
        ]
        self.fates.append((copies, fate))

    def _is_left_by(self, event: m.CopierStopped, root: RootId, copied: Copied) -> bool:
        """What a former copier of the pair left to be followed is, while its master tells of it."""
        return copied.copier == event.copier or not self.roots[event.master, root].watched

    def _decided(self, event: Any) -> None:
        key = (event.copier, event.master, event.root, event.leg, event.pending)
        former = self.outcomes.get(key)
        if former is not None:
            self.says(f"decided twice: {key} {former} {event}")
        self.outcomes[key] = event
        self.last_decided = event
        pair = (event.master, event.slave)
        known = self.roots[event.master, event.root]
        copied = self.copies.get((*pair, event.root))
        state = self.copiers.get(pair)
        if isinstance(event, m.CopyPlanned):
            if not known.watched:
                self.says(f"planned of a master that is gone: {brief(event)}")
            if state is None or state.copier != event.copier:
                self.says(f"planned for a copier that is not there: {event}")
                return
            mirrored = copied is not None and copied.is_pending and copied.copier == event.copier
            if mirrored and event.leg == 0 and not event.pending:
                return
            if event.leg == 0 and copied is not None:
                self.says(f"planned again: {event} {copied}")
            if event.leg > 0 and (copied is None or copied.ended or copied.copier != event.copier):
                self.says(f"a further leg of nothing: {event} {copied}")
            if state.paused:
                self.says(f"planned while paused: {event}")
            if event.leg == 0:
                self._may_copy(event, known, state)
            return
        self._is_a_reason(event, known, state, copied)

    def _existing(self, known: Known, copier: CopierId) -> bool:
        start = self.starts[copier]
        if known.offset < start.order_offset:
            return True
        about = known.about
        if about.seen is Seen.LIVE:
            return False
        when = about.opened_at_utc if isinstance(about, m.PositionOpened) else about.placed_at_utc
        return when is None or when <= start.started_at_utc

    def _filtered(self, about: Any, options: CopierOptions) -> set[str]:
        side = about.side if isinstance(about, m.PositionOpened) else about.kind.side
        found = set()
        if options.filter_side is SideFilter.BUY_ONLY and side is Side.SELL:
            found.add("FILTER_SIDE")
        if options.filter_magic is FilterMode.IGNORE and about.magic == options.filter_magic_value:
            found.add("FILTER_MAGIC")
        if options.filter_comment is FilterMode.COPY and "swing" not in about.comment:
            found.add("FILTER_COMMENT")
        return found

    def _may_copy(self, event: Any, known: Known, state: m.Copier) -> None:
        about, options = known.about, state.options
        reasons = self._filtered(about, options)
        if about.copy is not None:
            reasons.add("IS_A_COPY")
        if event.pending and options.pending_mode is not PendingMode.MIRROR:
            reasons.add("PENDING")
        if not event.pending and about.from_pending and options.pending_mode is PendingMode.IGNORE:
            reasons.add("PENDING_IGNORED")
        if self._existing(known, state.copier) and not options.copy_existing_trades:
            reasons.add("EXISTING")
        if about.context is None:
            reasons.add("MISSED")
        if reasons:
            self.says(f"copied in spite of {reasons}: {event}")

    def _is_a_reason(self, event: Any, known: Known, state: Any, copied: Any) -> None:
        code, about = event.code, known.about
        first = self.outcomes.get((event.copier, event.master, event.root, 0, False))
        if event.leg > 0 and isinstance(first, m.CopySkipped) and first.code == code:
            return
        options = CopierOptions() if state is None else state.options
        match code:
            case "PAUSED":
                is_true = state is not None and state.paused
            case "EXISTING":
                is_true = self._existing(known, event.copier) and not options.copy_existing_trades
            case "IS_A_COPY":
                is_true = (known.legs.get(event.leg) or about).copy is not None
            case "FILTER_SIDE" | "FILTER_MAGIC" | "FILTER_COMMENT":
                is_true = code in self._filtered(about, options)
            case "PENDING_IGNORED":
                is_true = options.pending_mode is PendingMode.IGNORE
            case "PENDING_ON_FILL":
                is_true = options.pending_mode is PendingMode.MARKET_ON_FILL
            case "COPIER_STOPPED":
                is_true = state is None or state.copier != event.copier
            case "ALREADY_COPIED":
                is_true = copied is not None and (copied.copier != event.copier or copied.ended)
            case "MISSED":
                leg = known.legs.get(event.leg) or about
                is_true = leg.context is None or leg.seen is Seen.MISSED
            case "NO_MARKET_PRICE":
                is_true = self._existing(known, event.copier)
            case _:
                is_true = False
        if not is_true:
            self.says(
                f"not a reason: {brief(event)} {state and state.paused} {known.legs.keys()} {known.offset}"
            )

    # --- orders ---

    def _key(self, order: Any) -> Any:
        for key in self.keys:
            if copy_id(key[0], key[1], key[2]) == order.copy:
                return key
        return None

    @property
    def keys(self) -> list[Any]:
        return [(a, s, r) for (a, r) in self.roots for (b, s) in PAIRS if a == b]

    def _asked_to_open(self, order: Any) -> None:
        key = (order.master, order.slave, order.root)
        decided = self.last_decided
        if not isinstance(decided, m.CopyPlanned) or decided.copy != order.copy:
            self.says(f"asked without a decision: {order}")
        state = self.copiers.get((order.master, order.slave))
        if state is None:
            return
        known = self.roots[order.master, order.root]
        is_pending = isinstance(order, m.PlacePendingCopy)
        copied = self.copies.get(key)
        if order.options != state.options or order.registration != state.slave_registration:
            self.says(f"asked with other options: {order}")
        mapped = next((x for x in state.mappings if x.master_symbol == order.symbol), None)
        if order.mapping != mapped:
            self.says(f"asked with another mapping {order}")
        if copied is None:
            copied = self.copies[key] = Copied(copier=order.copier, is_pending=is_pending)
        elif copied.ended:
            self.says(f"opened after its end: {order} {copied}")
        copied.stop = order.stop_loss
        if is_pending:
            copied.price = order.price
            if order.lots != known.placed.lots:
                self.says(f"wrong lots: {order}")
            return
        if order.leg in copied.legs:
            self.says(f"opened twice: {order}")
        if copied.is_pending and order.leg == 0:
            copied.is_pending = False
            whole = known.legs[0].lots + sum(
                (leg.lots for number, leg in known.legs.items() if number), D(0)
            )
            copied.legs[0] = (whole, known.open)
        else:
            lots = known.open if order.leg == 0 else known.legs[order.leg].lots
            copied.legs[order.leg] = (lots, lots)
        if order.lots != copied.legs[order.leg][0]:
            self.says(f"wrong lots: {brief(order)} {copied}")
        copied.bases[order.leg] = order.fraction

    def _asked(self, order: Any) -> None:
        key = self._key(order)
        copied = self.copies.get(key)
        if copied is None:
            self.says(f"asked of no copy: {order}")
            return
        if copied.ended:
            self.says(f"asked after its end: {order} {copied}")
        match order:
            case m.ModifyCopy():
                copied.stop = order.stop_loss
            case m.ModifyPendingCopy():
                copied.stop, copied.price = order.stop_loss, order.price
            case m.ReduceCopy():
                if order.fraction > copied.fraction:
                    self.says(f"grows: {order} {copied}")
                copied.fraction = order.fraction

    def _ended(self, order: Any) -> None:
        copied = self.copies.get(self._key(order))
        if copied is None or copied.ended:
            self.says(f"ended twice, or nothing: {order} {copied}")
            return
        copied.ended = type(order).__name__

    # --- after a step ---

    def settled(self, undecided: set[tuple[AccountId, RootId]]) -> None:
        for state in self.copiers.values():
            why = self.paused.get(state.copier, "")
            if bool(why) is not state.paused:
                self.says(f"paused {why!r} but {brief(m.CopierUpdated(state=state))}")
        gone, self.just_gone = self.just_gone, set()
        for (account, root), known in self.roots.items():
            if not known.watched:
                if (account, root) in gone:
                    self._master_gone(account, root, known, undecided)
                continue
            closing = (account, root) in getattr(self, "closing", set())
            for (master, _), state in self.copiers.items():
                if master != account or (account, root) in undecided:
                    continue
                self._has_outcomes(state, known, root, closing)
            for (a, slave, r), copied in self.copies.items():
                if (a, r) != (account, root) or copied.is_former:
                    continue
                if closing:
                    if not copied.ended:
                        self.says(f"left open: {a[:6]} {slave[:6]} {r} {copied}")
                elif not copied.ended and (account, root) not in undecided:
                    self._as_the_master(known, copied, (a, slave, r))
        for copies, fate in getattr(self, "fates", []):
            for copied in copies:
                if fate is OpenCopies.CLOSE and copied.ended != "CloseCopy" and not copied.ended:
                    self.says(f"not closed: {copied}")
                if fate is OpenCopies.LEAVE and not copied.ended:
                    self.says(f"not left: {copied}")
                if fate is OpenCopies.FOLLOW and copied.is_pending and not copied.ended:
                    self.says(f"a mirrored order is left: {copied}")
        self.fates = []
        for key in getattr(self, "closing", set()):
            self.roots.pop(key, None)
            for of in [of for of in self.copies if (of[0], of[2]) == key]:
                del self.copies[of]
        self.closing = set()

    def _master_gone(self, account: Any, root: RootId, known: Known, undecided: Any) -> None:
        for state in self.copiers.values():
            if state.master == account:
                self._has_outcomes(state, known, root, True)
        for (a, slave, r), copied in self.copies.items():
            if (a, r) == (account, root) and not copied.ended and (a, slave) not in self.copiers:
                self.says(f"a removed master's copy is still followed: {copied}")

    def _has_outcomes(self, state: m.Copier, known: Known, root: RootId, closing: bool) -> None:
        copier, master = state.copier, state.master
        legs = [(number, False) for number in known.legs] if 0 in known.legs else [(0, True)]
        has = [(copier, master, root, number, pending) in self.outcomes for number, pending in legs]
        if all(has):
            return
        first = self.outcomes.get((copier, master, root, 0, False))
        waits = self._existing(known, copier) and state.paused and not closing
        if waits and first is None:
            return
        # What was added before it started or joined is part of what it decided on.
        before = [
            number
            for (number, _), h in zip(legs, has, strict=True)
            if not h and (number == 0 or known.legs[number] is not None)
        ]
        if (
            first is not None
            and 0 not in before
            and all(n in self.part_of_first.get((copier, master, root), set()) for n in before)
        ):
            return
        self.says(f"no outcome: {copier} {root} {before} paused={state.paused} {known.legs.keys()}")

    def _as_the_master(self, known: Known, copied: Copied, of: Any) -> None:
        if copied.stop != known.stop:
            self.says(f"another stop: {of} {copied} {known.stop} {known.price}")
        if copied.is_pending and copied.price != known.price:
            self.says(f"another price: {of} {copied} {known.stop} {known.price}")
        for number, (lots, left) in copied.legs.items():
            ours = min(D(1), copied.fraction / copied.bases[number])
            if abs(ours - left / lots) > D("1e-15"):
                self.says(f"another fraction: {of} leg {number} {ours} {left / lots} {copied}")


def tell(seed: int, steps: int = 120) -> None:
    masters, oracle, desk = Masters(seed), Oracle(), Desk()
    masters.oracle = oracle
    dice = random.Random(seed + 1)
    queues: dict[str, list[Record]] = {"command": [], "event": []}
    story: list[str] = []
    haste = dice.choice((0.1, 0.3, 0.5, 0.5, 0.9))

    def read(records: list[Record]) -> None:
        end = desk._ends[topics.ORDER_EVENTS.name]
        by_id: dict[str, tuple[Envelope, int]] = {}
        order = []
        for record in records:
            envelope = decode(record)
            by_id[envelope.id] = (envelope, record.offset)
            order.append(envelope.id)
        story.extend(f"  reads {by_id[i][1]} {brief(by_id[i][0].message)}" for i in order)
        had = len(desk.told)
        newest = max(
            [
                at(0),
                *(
                    decode(r).message.seen_at_utc
                    for r in records
                    if hasattr(decode(r).message, "seen_at_utc")
                ),
            ]
        )
        desk.now = max(desk.now, newest)
        desk.step(records, end)
        told = desk.told[had:]
        (id_,) = order
        record = by_id[id_][0].message
        taken = False

        def take() -> None:
            nonlocal taken
            if not taken:
                taken = True
                oracle.takes(*by_id[id_])

        for envelope in told:
            message = envelope.message
            if envelope.cause == id_:
                take()
            elif isinstance(message, m.Decided):
                found = oracle.roots[message.master, message.root].about
                is_later = getattr(record, "account", "") == message.master
                if not (
                    is_later and record.seen_at_utc != found.seen_at_utc
                    if hasattr(record, "seen_at_utc")
                    else is_later
                ):
                    take()
            story.append(f"    -> {brief(message)}")
            if (
                isinstance(message, m.CopyPlanned | m.CopySkipped)
                and message.leg == 0
                and not message.pending
            ):
                known = oracle.roots[message.master, message.root]
                parts = oracle.part_of_first
                parts[message.copier, message.master, message.root] = set(known.legs) - {0}
            oracle.told(message)
        take()
        undecided = {
            (root.account, root.root) for root in desk.replicating.memory._undecided.values()
        }
        oracle.settled(undecided)
        if oracle.wrong:
            raise AssertionError("\n".join([f"seed {seed}", *story[-400:], "", *oracle.wrong]))

    def some(kind: str, most: int = 1) -> list[Record]:
        count = dice.randint(1, most)
        taken, queues[kind] = queues[kind][:count], queues[kind][count:]
        return taken

    for _ in range(steps):
        if dice.random() < 0.3:
            queues["command"] += [desk.record(c) for c in masters.command()]
        else:
            look = masters.look()
            queues["event"] += [desk.record(e, masters.time) for e in look]
        if dice.random() < 0.5:
            kind = "command" if dice.random() < haste else "event"
            for _ in range(dice.randint(1, 6)):
                if queues[kind]:
                    read(some(kind))
        if dice.random() < 0.1:
            desk.restart()
        if dice.random() < 0.04:
            stops, events = masters.removal(oracle)
            queues["command"] += [desk.record(c) for c in stops]
            queues["event"] += [desk.record(e, masters.time) for e in events]
    while queues["command"] or queues["event"]:
        kind = dice.choice([kind for kind in queues if queues[kind]])
        read(some(kind))


def brief(message: Any) -> str:
    names = [
        "registration",
        "master_registration",
        "copier",
        "root",
        "leg",
        "lots",
        "open_lots",
        "fraction",
        "stop_loss",
        "price",
        "seen",
        "from_pending",
        "code",
        "pending",
        "paused",
        "reason",
        "open_copies",
        "order_offset",
        "user",
        "only_from",
        "unless_paused",
        "last",
        "enabled",
        "rights",
        "joined",
    ]
    state = getattr(message, "state", None)
    found = {}
    for holder in (message, state):
        for name in names:
            if holder is not None and hasattr(holder, name):
                value = getattr(holder, name)
                found[name] = getattr(value, "value", None) or str(value)
    for name in ("master", "account", "slave"):
        if hasattr(message, name):
            found[name] = str(getattr(message, name))[:4]
    o = getattr(state or message, "options", None)
    opt = (
        ""
        if o is None
        else f"[{o.pending_mode.value} ex={o.copy_existing_trades} rev={o.reverse_copy} {o.filter_side.value} {o.filter_magic.value} {o.filter_comment.value} rv={o.risk_value}]"
    )
    if getattr(message, "context", 1) is None:
        opt += " nocontext"
    return type(message).__name__ + " " + " ".join(f"{k}={v}" for k, v in found.items()) + opt
