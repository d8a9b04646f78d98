"""What a copy does next: the closed set of steps, and the ways of waiting."""

from __future__ import annotations

from datetime import datetime, timedelta

from copypro.codes import Denial
from copypro.messages import Numbers
from copypro.trading import Quote, TradeRequest
from copypro.values import Lots
from msgspec import Struct

from copypro_account_watcher.planned.live import Live, Need, NeedQuote, NeedSpec
from copypro_account_watcher.state import Copy, Leg


class Sends(Struct, frozen=True, kw_only=True):
    """Start an attempt with this request."""

    kind: str
    leg: int
    request: TradeRequest
    numbers: Numbers = {}
    quote: Quote | None = None
    expected_lots: Lots | None = None
    """Of a close: what the leg holds afterwards."""
    held_lots: Lots | None = None
    """Of a close: what it holds now."""


class Denies(Struct, frozen=True):
    """The leg is not opened, for this reason."""

    leg: int
    denial: Denial


class Asks(Struct, frozen=True):
    """These must be read before anything can be decided."""

    needs: tuple[Need, ...]


class Waits(Struct, frozen=True):
    until: datetime


class Queues(Struct, frozen=True):
    """Another copy's open is under way on this account: its turn comes, or it expires."""

    until: datetime


class Rests(Struct, frozen=True):
    """Nothing to do until something changes."""


Step = Sends | Denies | Asks | Waits | Queues | Rests


def ask_or_wait(copy: Copy, needs: tuple[Need, ...], live: Live, expires_at: datetime) -> Step:
    """What was asked for and not to be had, or did not help, is asked for again a little later."""
    missing = tuple(need for need in needs if not live.is_unavailable(need))
    unasked = tuple(need for need in missing if not live.is_answered(copy.copy, need))
    if unasked:
        return Asks(unasked)
    pause_s = live.limits.ask_again_s if missing else live.limits.quote_age_s
    again_at = live.now + timedelta(seconds=pause_s)
    return Waits(min(again_at, expires_at))


def ask_for_terms(copy: Copy, leg: Leg, live: Live) -> Step:
    """What is not known of its symbol's terms, however old, and of its price. The leg's levels are late
    if the master has changed its own.
    """
    symbol = copy.symbol
    if leg.levels_asked_at_utc is not None:
        copy.levels_late_since_utc = copy.levels_late_since_utc or live.now
    spec, quote = live.any_spec(symbol), live.quote(symbol)
    known: tuple[tuple[Need, object], ...] = ((NeedSpec(symbol), spec), (NeedQuote(symbol), quote))
    far = live.now + timedelta(seconds=live.limits.later_close_cap_s)
    return ask_or_wait(copy, tuple(need for need, found in known if found is None), live, far)


def backing_off(copy: Copy, live: Live) -> Waits | None:
    """A refusal's back-off."""
    until = copy.not_before_utc
    return Waits(until) if until is not None and live.now < until else None
