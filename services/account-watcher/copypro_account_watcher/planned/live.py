"""What an account's agent knows at this moment, each with the age it may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import UTC, datetime
from decimal import Decimal
from math import inf

from copypro.affixes import Names, names_of
from copypro.codes import Denial, denied
from copypro.trading import AccountInfo, Figures, OpenOrder, Quote, SymbolSpec
from copypro.values import (
    CopierId,
    CopyId,
    Lots,
    Mode,
    OrderKind,
    Platform,
    Price,
    RegistrationId,
    Side,
    Ticket,
)
from msgspec import Struct
from msgspec.structs import replace

from copypro_account_watcher.limits import WatcherLimits
from copypro_account_watcher.seen.book import Cost
from copypro_account_watcher.state import Account


class NeedNames(Struct, frozen=True):
    """The list of the account's symbols."""

    def __str__(self) -> str:
        return "the symbols' names"


class NeedSpec(Struct, frozen=True):
    symbol: str

    def __str__(self) -> str:
        return f"the terms of {self.symbol}"


class NeedQuote(Struct, frozen=True):
    symbol: str

    def __str__(self) -> str:
        return f"a price of {self.symbol}"


class NeedRate(Struct, frozen=True):
    """The last price there was, for conversions: a closed market has no other."""

    symbol: str

    def __str__(self) -> str:
        return f"the last price of {self.symbol}"


class NeedMargin(Struct, frozen=True, eq=False):
    """Of a lot, as it is for these: whoever opens other ones needs the same."""

    symbol: str
    kind: OrderKind
    lots: Lots

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NeedMargin):
            return False
        return (self.symbol, self.kind) == (other.symbol, other.kind)

    def __hash__(self) -> int:
        return hash((self.symbol, self.kind))

    def __str__(self) -> str:
        return f"the margin of {self.lots} {self.symbol}"


class NeedFigures(Struct, frozen=True):
    """A look at the account: its figures are too old to size with."""

    def __str__(self) -> str:
        return "the account's figures"


class NeedList(Struct, frozen=True):
    """A look at the account: what stands there by now decides."""

    def __str__(self) -> str:
        return "the open orders"


Need = NeedNames | NeedSpec | NeedQuote | NeedRate | NeedMargin | NeedFigures | NeedList


class Taken(Struct, frozen=True, kw_only=True):
    """Margin, until so many lots are shown."""

    margin: Decimal
    held_lots: Lots


class Live:
    """Caches with ages, on the monotonic clock. Holds no rule; `now` and `mono` are set per turn."""

    def __init__(self, platform: Platform, limits: WatcherLimits) -> None:
        self.platform, self.limits = platform, limits
        self.mode = Mode.HEDGING
        self.currency = ""
        self.now = datetime.min.replace(tzinfo=UTC)
        self.mono = 0.0
        self.connected = False
        """A first look of the present session succeeded."""
        self.started_at_utc: datetime | None = None
        """When this process began to follow the account; None: it was not known before."""
        self.over_by_tag: Mapping[str, Ticket] | None = None
        """Positions with tags that have ended, by the first history since; None: none was read."""
        self.opens_off: Denial | None = None
        self.account: Account | None = None
        """In whose names there may be opens, and which copiers are halted."""
        self.opening: CopyId | None = None
        """The copy whose open is under way: one at a time, so that each is sized by its own figures."""
        self._names: tuple[Names, float] | None = None
        self.positions: Mapping[Ticket, OpenOrder] = {}
        self.costs: Mapping[str, Cost] = {}
        self.clock_offset_minutes: int | None = None
        self.held: Mapping[str, CopyId] = {}
        """Netting: by symbol, the copy that has it open or under way."""
        self.leaving: Set[CopyId] = frozenset()
        """Of those, the ones that are being closed: they make room."""
        self.just_ended: dict[Ticket, float] = {}
        """Tickets that our own calls ended, and when: a look asked for before may still list them."""
        self.just_changed: dict[Ticket, float] = {}
        """Tickets whose lots our own calls changed, and when: likewise."""
        self.just_modified: dict[Ticket, float] = {}
        """Tickets whose levels our own calls set, and when: likewise."""
        self._just_taken: dict[Ticket, Taken] = {}
        """The margin of what our own calls opened and no list shows yet: the figures are without it."""
        self.found_ended: set[Ticket] = set()
        """Tickets that nobody answered and history alone shows: how they ended is still to be told."""
        self._listed_at = -inf
        """When the last whole list was asked for."""
        self.is_by_frame = False
        """What stands is known by a frame, which may be of before our last call."""
        self._figures: tuple[Figures, float] | None = None
        self._specs: dict[str, tuple[SymbolSpec, float]] = {}
        self._quotes: dict[str, tuple[Quote, float]] = {}
        self._rates: dict[str, tuple[Quote, float]] = {}
        self._margins: dict[tuple[str, Side], tuple[Decimal | None, float]] = {}
        self._missing: dict[Need, float] = {}
        self._answered: dict[tuple[CopyId, Need], float] = {}

    def anew(self, info: AccountInfo) -> Live:
        """Of a new session, which ends no call of this one; the clock may be set back in between."""
        live = Live(info.platform, self.limits)
        live.opening, live.now = self.opening, self.now
        live.started_at_utc, live.over_by_tag = self.started_at_utc, self.over_by_tag
        live.mode, live.currency = info.mode, info.currency
        return live

    # --- what is known ------------------------------------------------------------------------

    def figures(self) -> Figures | None:
        """With the margin of what our own calls have opened since."""
        if self._figures is None or self.mono - self._figures[1] > self.limits.figures_age_s:
            return None
        stands = self._just_taken.keys() - self.just_ended.keys()
        taken = sum((self._just_taken[ticket].margin for ticket in stands), Decimal(0))
        figures = self._figures[0]
        if not taken:
            return figures
        free_margin = figures.free_margin - taken
        return replace(figures, margin=figures.margin + taken, free_margin=free_margin)

    def spec(self, symbol: str) -> SymbolSpec | None:
        """Errors of age only: a spec that is old is asked for again, never guessed."""
        found = self._specs.get(symbol)
        if found is None or self.mono - found[1] > self.limits.spec_age_s:
            return None
        return found[0]

    @property
    def names(self) -> Names | None:
        """The account's symbols, however old: what is on the list is there, until one is not."""
        return None if self._names is None else self._names[0]

    def renew_names(self) -> tuple[Need, ...]:
        """What to ask for before something is denied for not being on the list, which brokers add to;
        nothing: it is young enough, or there is no other one to be had.
        """
        need, limit_s = NeedNames(), self.limits.spec_age_s
        is_young = self._names is not None and self.mono - self._names[1] <= limit_s
        return () if is_young or self.is_unavailable(need) else (need,)

    def has_fresh_spec(self, symbol: str) -> bool:
        found = self._specs.get(symbol)
        return found is not None and self.mono - found[1] <= 1.0

    def renew_spec(self, symbol: str) -> tuple[Need, ...]:
        """What to ask for so that its terms are as of now. For closes the former ones are kept."""
        if symbol in self._specs:
            self._specs[symbol] = (self._specs[symbol][0], -inf)
        return (NeedSpec(symbol),)

    def any_spec(self, symbol: str) -> SymbolSpec | None:
        """However old: for closes, which wait for nothing."""
        found = self._specs.get(symbol)
        return None if found is None else found[0]

    def quote(self, symbol: str) -> Quote | None:
        found = self._quotes.get(symbol)
        if found is None or self.mono - found[1] > self.limits.quote_age_s:
            return None
        return found[0]

    def mid(self, symbol: str) -> Price | None:
        """To convert by: the price of now or, of a market that is closed, the last one."""
        now, last = self.quote(symbol), self._rates.get(symbol)
        if now is not None:
            return now.mid
        if last is None or self.mono - last[1] > self.limits.rate_kept_s:
            return None
        return last[0].mid

    def refuses_symbol(self, registration: RegistrationId | None, symbol: str) -> Denial | None:
        known = None if self.account is None else self.account.registrations
        if registration is None or not known or registration not in known:
            return None
        is_on = known[registration].symbols.allows(symbol)
        return None if is_on else denied("SYMBOL_OFF", symbol=symbol)

    def refuses(self, copier: CopierId, registration: RegistrationId | None) -> Denial | None:
        """Why nothing is opened for this copier in this registration's name (None: in nobody's)."""
        if self.opens_off is not None:
            return self.opens_off
        account = self.account
        if account is not None:
            for ticket, halted in account.halted.items():
                if halted == copier:
                    return denied("OPENS_PAUSED", ticket=ticket)
        if registration is None:
            return None
        known = None if account is None else account.staying(registration)
        return denied("ACCOUNT_REMOVED") if known is None else known.refuses_opens

    def is_opening_another(self, copy: CopyId) -> bool:
        return self.opening is not None and self.opening != copy

    def margin_per_lot(self, symbol: str, side: Side) -> tuple[bool, Decimal | None]:
        """(known, margin of one lot); known and None: the platform does not tell."""
        found = self._margins.get((symbol, side))
        if found is None or self.mono - found[1] > self.limits.margin_age_s:
            return False, None
        return True, found[0]

    def is_listed_since(self, moment: datetime) -> bool:
        """What stands is known by a list that was asked for after this moment, not only by frames."""
        return self._listed_at >= self.mono - (self.now - moment).total_seconds()

    def misses(self, ticket: Ticket | None) -> bool:
        """No list shows it that may be of after our last call."""
        is_shown = ticket in self.positions or ticket in self.just_changed
        return self._listed_at > -inf and not is_shown

    def is_unavailable(self, need: Need) -> bool:
        """It was asked for just now and the broker had no answer."""
        failed_at = self._missing.get(need)
        return failed_at is not None and self.mono - failed_at <= self.limits.quote_age_s

    def is_answered(self, copy: CopyId, need: Need) -> bool:
        """It was read for this copy just now, which has called nobody since."""
        answered_at = self._answered.get((copy, need))
        return answered_at is not None and self.mono - answered_at < self.limits.ask_again_s

    def looked(self, orders: Sequence[OpenOrder], asked_at: float | None) -> None:
        """A list as it was asked for at that time; None: a frame, which may be of any time."""
        # A position hides the rest of its own order, which MT5 lists under the same ticket.
        rests_first = sorted(orders, key=lambda order: not order.kind.is_pending)
        self.positions = {order.ticket: order for order in rests_first}
        self.is_by_frame = asked_at is None
        if asked_at is not None:
            self._listed_at = asked_at
            self.just_ended = _not_shown(self.just_ended, asked_at)
            self.just_changed = _not_shown(self.just_changed, asked_at)
            self.just_modified = _not_shown(self.just_modified, asked_at)
        self._just_taken = {
            ticket: taken
            for ticket, taken in self._just_taken.items()
            if ticket in self.just_changed and not self._shows(ticket, taken.held_lots)
        }

    def _shows(self, ticket: Ticket, held_lots: Lots) -> bool:
        """The latest list or frame has it, and on netting all that was added."""
        listed = self.positions.get(ticket)
        return listed is not None and (self.mode is Mode.HEDGING or listed.lots >= held_lots)

    # --- what was learned ---------------------------------------------------------------------

    def learn_figures(self, figures: Figures) -> None:
        self._figures = (figures, self.mono)

    def learn_names(self, names: Sequence[str]) -> None:
        self._names = (names_of(names), self.mono)

    def learn_spec(self, spec: SymbolSpec) -> None:
        self._specs[spec.name] = (spec, self.mono)
        self._missing.pop(NeedSpec(spec.name), None)

    def learn_quote(self, quote: Quote) -> None:
        self._quotes[quote.symbol] = (quote, self.mono)
        self._missing.pop(NeedQuote(quote.symbol), None)

    def learn_rate(self, quote: Quote) -> None:
        self._rates[quote.symbol] = (quote, self.mono)
        self._missing.pop(NeedRate(quote.symbol), None)

    def learn_margin(self, symbol: str, side: Side, per_lot: Decimal | None) -> None:
        self._margins[symbol, side] = (per_lot, self.mono)

    def forget_names(self) -> None:
        """One of them is no longer what the broker calls it."""
        self._names = None

    def learn_missing(self, need: Need) -> None:
        self._missing[need] = self.mono

    def learn_answered(self, copy: CopyId, need: Need) -> None:
        self._answered = {
            key: at
            for key, at in self._answered.items()
            if self.mono - at < self.limits.ask_again_s
        }
        self._answered[copy, need] = self.mono

    def called(self, copy: CopyId) -> None:
        """A call changes what it may have to ask for."""
        self._answered = {key: at for key, at in self._answered.items() if key[0] != copy}

    def learn_opened(
        self, ticket: Ticket, symbol: str, side: Side, lots: Lots, held_lots: Lots
    ) -> None:
        """By a call of ours, as its answer says; `held_lots`: with what it was added to on netting."""
        per_lot, _ = self._margins.get((symbol, side), (None, 0.0))
        if per_lot is None or self._shows(ticket, held_lots):
            return
        before = self._just_taken.get(ticket)
        margin = per_lot * lots + (Decimal(0) if before is None else before.margin)
        self._just_taken[ticket] = Taken(margin=margin, held_lots=held_lots)

    def forget_symbol(self, symbol: str) -> None:
        """Its terms may have changed: the broker refused something that should have been right."""
        self._specs.pop(symbol, None)
        self._quotes.pop(symbol, None)
        for side in Side:
            self._margins.pop((symbol, side), None)


def _not_shown(calls: dict[Ticket, float], asked_at: float) -> dict[Ticket, float]:
    """Those that a list which was asked for then need not show."""
    return {ticket: at for ticket, at in calls.items() if asked_at <= at}
