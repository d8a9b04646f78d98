"""Equity protection: an account's own limits, and whether its equity has reached one. Pure.

Equity is MetaTrader's: it includes credit. What percent and value count from therefore includes it
too: the balance and the credit of one look, or what the user gave (5 is 5 %).
Deposits, withdrawals and credit move that start by their amount; an absolute level stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

CODE = "EQUITY_PROTECTION"
"""Why something is closed, denied or alerted."""
PAUSE_REASON = "EquityProtection"
"""The original's word for why a copier is paused."""
MOST = Decimal(1_000_000_000_000)
FLOWS = frozenset(("Balance", "Correction"))
"""Kinds of balance operations that are money in or out; the others are costs and count as loss."""
CREDITS = frozenset(("Credit", "Bonus"))
"""Those that are no balance: the figures show them."""


class Breach(StrEnum):
    STOP_LOSS = "StopLoss"
    TAKE_PROFIT = "TakeProfit"


class ProtectorSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a user wants of it. None: this number is not set."""

    enabled: bool = False
    daily_reset: bool = False
    """At midnight of the broker's clock it starts from that day's balance, armed anew."""
    alert: bool = False
    disable_copier: bool = False
    close_copied_trades: bool = False
    close_all_trades: bool = False
    """Everything on the account, whoever opened it, pending orders too."""
    stop_loss_percent: Decimal | None = None
    stop_loss_value: Decimal | None = None
    stop_loss_absolute: Decimal | None = None
    take_profit_percent: Decimal | None = None
    take_profit_value: Decimal | None = None
    take_profit_absolute: Decimal | None = None
    start_balance: Decimal | None = None
    """What percent and value count from, until the first daily reset; None: as it is when armed."""


class Trip(Struct, frozen=True, kw_only=True):
    """The limit that was reached, and the equity that reached it."""

    breach: Breach
    rule: str
    """The setting, by its name in REST."""
    level: Decimal
    equity: Decimal
    at_utc: datetime


class Protector(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One registration's protection as it stands."""

    settings: ProtectorSettings
    serial: int = 0
    """Counts what happened to it."""
    start_balance: Decimal | None = None
    """What percent and value count from; None: no believable look has shown it yet."""
    day: str = ""
    """The broker's date since which it counts, where its clock is known."""
    balance: Decimal | None = None
    """With credit, of the last look whose money was accounted for: the next day starts from it."""
    credit: Decimal | None = None
    """As last seen: what is given or taken moves the start."""
    tripped: Trip | None = None
    """It has acted; it acts no more until it is armed anew, by its user or the broker's midnight."""
    flattening: bool = False
    """Everything on the account is being closed, until a look shows that nothing is left."""

    @property
    def is_armed(self) -> bool:
        return self.settings.enabled and self.tripped is None

    @property
    def stops_opens(self) -> bool:
        """Nothing is opened in its registration's name."""
        return self.tripped is not None and self.settings.disable_copier

    @property
    def numbers(self) -> dict[str, str]:
        """What it acted on, for people."""
        trip = self.tripped
        if trip is None:
            return {}
        return {
            "breach": trip.breach.value,
            "rule": trip.rule,
            "limit": str(trip.level),
            "equity": str(trip.equity),
            "start_balance": str(self.start_balance),
            "at": trip.at_utc.isoformat(),
        }


class Seen(Struct, frozen=True, kw_only=True):
    """The account at one look: figures of one moment, and the money that this look told of."""

    balance: Decimal
    credit: Decimal | None
    """None: a frame, which has it on newer bridges only. A limit waits for the snapshot that confirms."""
    equity: Decimal
    at_utc: datetime
    clock_offset_minutes: int | None
    flows: tuple[Decimal, ...] = ()
    settled: bool = True
    """False: money moved for a reason that history will tell in a moment; a limit waits for it."""
    paid: Decimal = Decimal(0)
    """In the balance, and not told yet: the flow of a later look, or a trade's after all."""

    @property
    def is_sure(self) -> bool:
        return self.settled and self.credit is not None


class Level(Struct, frozen=True):
    breach: Breach
    rule: str
    at: Decimal


# --- settings -----------------------------------------------------------------------------------

_STOPS = ("stop_loss_percent", "stop_loss_value", "stop_loss_absolute")
_TARGETS = ("take_profit_percent", "take_profit_value", "take_profit_absolute")
ACTIONS = ("alert", "disable_copier", "close_copied_trades", "close_all_trades")


def problem(settings: ProtectorSettings) -> tuple[str, str] | None:
    """The field, by its name in REST, and what to do about it; None: it can be followed."""
    return (
        _not_a_limit(settings)
        or _two_of_a_kind(settings)
        or _missing(settings)
        or _crossed(settings)
    )


def _not_a_limit(settings: ProtectorSettings) -> tuple[str, str] | None:
    for name in (*_STOPS, *_TARGETS, "start_balance"):
        value: Decimal | None = getattr(settings, name)
        if value is not None and not (value.is_finite() and 0 < value <= MOST):
            return rest_name(name), f"{value} is not above 0 and at most {MOST}; 0 leaves it out"
    percent = settings.stop_loss_percent
    if percent is not None and percent >= 100:
        return "stopLossPercent", f"{percent} % can never be lost before all is: give less than 100"
    return None


def _two_of_a_kind(settings: ProtectorSettings) -> tuple[str, str] | None:
    for names in (_STOPS, _TARGETS):
        given = [name for name in names if getattr(settings, name) is not None]
        if len(given) > 1:
            text = f"contradicts {rest_name(given[0])}: give one of them, and 0 for the other"
            return rest_name(given[1]), text
    return None


def _missing(settings: ProtectorSettings) -> tuple[str, str] | None:
    if not settings.enabled:
        return None
    if all(getattr(settings, name) is None for name in (*_STOPS, *_TARGETS)):
        names = ", ".join(map(rest_name, (*_STOPS, *_TARGETS)))
        return "enabled", f"needs a limit: one of {names}"
    if not any(getattr(settings, name) for name in ACTIONS):
        return "enabled", f"needs something to do: {', '.join(map(rest_name, ACTIONS))}"
    return None


def _crossed(settings: ProtectorSettings) -> tuple[str, str] | None:
    """Numbers by which it would act at once, as far as they alone tell."""
    start = settings.start_balance
    stops, targets = _levels(settings, start, _STOPS), _levels(settings, start, _TARGETS)
    if start is not None:
        for level in stops:
            if level.at >= start:
                return level.rule, f"{level.at} is not below startBalance {start}"
        for level in targets:
            if level.at <= start:
                return level.rule, f"{level.at} is not above startBalance {start}"
    for stop, target in zip(stops, targets, strict=False):
        if stop.at >= target.at:
            return stop.rule, f"{stop.at} is not below {target.rule}, which is {target.at}"
    return None


# --- following an account -----------------------------------------------------------------------


def armed(former: Protector | None, settings: ProtectorSettings) -> Protector:
    """As the user now wants it: whatever it did is over, and it counts from now on."""
    serial = 0 if former is None else former.serial
    return Protector(settings=settings, serial=serial + 1, start_balance=settings.start_balance)


def looked(protector: Protector, seen: Seen) -> Protector:
    """After one look. It trips at most once until it is armed anew; figures of a session that has
    not loaded its account yet (no balance, no equity) change nothing. Money is told once, whatever
    figures are beside it, and always counts: all zero is an account that was paid out as well.
    """
    if not protector.settings.enabled:
        return protector
    paid = sum(seen.flows, Decimal(0))
    if not _is_known(seen):
        return _paid_unseen(protector, paid)
    today = _next_day(protector, seen)
    flow = paid + _credited(today, seen)
    begun = _began(today, seen) if today.start_balance is None else _moved(today, flow)
    kept = _kept(begun, seen, flow)
    return _tripped(kept, seen) if seen.is_sure else kept


def disarmed(protector: Protector) -> Protector:
    """Its registration may trade no more: off, until it is set anew. What it began ends, and opens that
    it stopped stay stopped.
    """
    settings = replace(protector.settings, enabled=False)
    return replace(protector, serial=protector.serial + 1, settings=settings)


def flat(protector: Protector) -> Protector:
    """Nothing is left on the account: what it flattened is flat, and what opens later is not its."""
    return replace(protector, serial=protector.serial + 1, flattening=False)


def is_reached(protector: Protector, seen: Seen) -> bool:
    """It would act, if this equity were confirmed."""
    found = levels(protector, seen.paid)
    return protector.is_armed and any(_is_beyond(level, seen.equity) for level in found)


def levels(protector: Protector, paid: Decimal = Decimal(0)) -> list[Level]:
    """Those whose place is known, stops first. `paid`: what will move the start once it is told."""
    settings, start = protector.settings, protector.start_balance
    start = None if start is None else start + paid
    return [*_levels(settings, start, _STOPS), *_levels(settings, start, _TARGETS)]


def _is_known(seen: Seen) -> bool:
    numbers = (seen.balance, seen.credit or Decimal(0), seen.equity)
    return all(number.is_finite() for number in numbers) and any(number != 0 for number in numbers)


def _next_day(protector: Protector, seen: Seen) -> Protector:
    """The first look of a new day of the broker's. The clock may be set back, a day never is."""
    today = _day(seen)
    if not protector.settings.daily_reset or today <= protector.day:
        return protector
    if not protector.day:
        return replace(protector, serial=protector.serial + 1, day=today)
    return replace(
        protector,
        serial=protector.serial + 1,
        day=today,
        start_balance=protector.balance,
        tripped=None,
        flattening=False,
    )


def _day(seen: Seen) -> str:
    if seen.clock_offset_minutes is None:
        return ""
    return (seen.at_utc + timedelta(minutes=seen.clock_offset_minutes)).date().isoformat()


def _began(protector: Protector, seen: Seen) -> Protector:
    if not seen.settled or seen.credit is None:
        return protector
    start = seen.balance - seen.paid + seen.credit
    return replace(protector, serial=protector.serial + 1, start_balance=start)


def _credited(protector: Protector, seen: Seen) -> Decimal:
    if seen.credit is None or protector.credit is None:
        return Decimal(0)
    return seen.credit - protector.credit


def _moved(protector: Protector, flow: Decimal) -> Protector:
    if flow == 0 or protector.start_balance is None:
        return protector
    start = protector.start_balance + flow
    return replace(protector, serial=protector.serial + 1, start_balance=start)


def _paid_unseen(protector: Protector, paid: Decimal) -> Protector:
    """No figures show it: what the next day starts from moves by it as well."""
    moved = _moved(protector, paid)
    if paid == 0 or moved.balance is None:
        return moved
    return replace(moved, balance=moved.balance + paid)


def _kept(protector: Protector, seen: Seen, flow: Decimal) -> Protector:
    """The balance only where a daily reset needs it: else no record is written at each closed trade.
    Of a look whose money is not accounted for yet, only what it told is known to belong there.
    """
    credit = protector.credit if seen.credit is None else seen.credit
    if credit is None:
        return protector
    kept = protector if protector.credit == credit else replace(protector, credit=credit)
    balance: Decimal | None = seen.balance - seen.paid + credit
    if not seen.settled:
        balance = None if protector.balance is None else protector.balance + flow
    if not protector.settings.daily_reset or protector.balance == balance:
        return kept
    return replace(kept, balance=balance)


def _tripped(protector: Protector, seen: Seen) -> Protector:
    if protector.tripped is not None:
        return protector
    found = levels(protector, seen.paid)
    reached = next((level for level in found if _is_beyond(level, seen.equity)), None)
    if reached is None:
        return protector
    trip = Trip(
        breach=reached.breach,
        rule=reached.rule,
        level=reached.at,
        equity=seen.equity,
        at_utc=seen.at_utc,
    )
    return replace(
        protector,
        serial=protector.serial + 1,
        tripped=trip,
        flattening=protector.settings.close_all_trades,
    )


def _is_beyond(level: Level, equity: Decimal) -> bool:
    return equity <= level.at if level.breach is Breach.STOP_LOSS else equity >= level.at


def _levels(
    settings: ProtectorSettings, start: Decimal | None, names: Iterable[str]
) -> list[Level]:
    found: list[Level] = []
    for name in names:
        value: Decimal | None = getattr(settings, name)
        at = None if value is None else _place(name, value, start)
        if at is not None:
            breach = Breach.STOP_LOSS if name in _STOPS else Breach.TAKE_PROFIT
            found.append(Level(breach, rest_name(name), at))
    return found


def _place(name: str, value: Decimal, start: Decimal | None) -> Decimal | None:
    if name.endswith("absolute"):
        return value
    if start is None or start <= 0:
        return None
    change = value if name.endswith("value") else start * value / 100
    return start - change if name in _STOPS else start + change


def rest_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
