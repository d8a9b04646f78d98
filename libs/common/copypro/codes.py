"""Every code with which a trade is not copied, what it means and what would let it pass.

One table: the replicator's skips, the agent's denials and the page of errors all read it.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Denial(Struct, frozen=True):
    """A refusal by rule: the code, the numbers behind it, as text by name."""

    code: str
    numbers: Mapping[str, str]

    @property
    def remedy(self) -> str:
        return CODES[self.code][1]


def denied(code: str, **numbers: object) -> Denial:
    """Errors: KeyError for a code that is not in the table."""
    CODES[code]
    return Denial(code, {name: str(value) for name, value in numbers.items()})


CODES: dict[str, tuple[str, str]] = {
    "IMPORTED_ACCOUNT": (
        "the account was imported from a report: it exists here only to be looked at",
        "add the account itself, with its password",
    ),
    # by the copier's rule, decided on the master's side
    "PAUSED": ("the copier was paused", "resume the copier before the trade opens"),
    "EXISTING": (
        "the trade was already open when the copier started",
        "start the copier with copyExistingTrades",
    ),
    "IS_A_COPY": ("the trade is itself a copy of ours", "copy its own master instead"),
    "FILTER_SIDE": ("filterSide leaves this side out", "set filterSide to CopyAll"),
    "FILTER_MAGIC": ("the magic filter leaves this trade out", "change filterMagicOption or Value"),
    "FILTER_COMMENT": (
        "the comment filter leaves this trade out",
        "change filterCommentOption or Value",
    ),
    "FILTER_LOTS": (
        "the master's lots are outside filterLotMin … filterLotMax",
        "change the lot filter",
    ),
    "PENDING_IGNORED": ("pending orders are ignored", "set pendingMode to Mirror or MarketOnFill"),
    "PENDING_ON_FILL": (
        "a pending order is copied when it fills",
        "set copyPendingOrders to mirror it as a pending order",
    ),
    "MISSED": (
        "no look at the account showed the trade while it was new: it is over, or too old to copy",
        "keep the bridge reachable; a late open is another trade",
    ),
    "ALREADY_COPIED": (
        "this pair has already decided on this root",
        "nothing: a root is copied once",
    ),
    "COPIER_STOPPED": ("the copier was stopped", "start the copier again for later trades"),
    # by the slave's agent, with live data
    "EXPIRED": ("the open is older than it may be", "nothing: a late open is another trade"),
    "MASTER_FLAT": (
        "the master closed before the copy was sent",
        "nothing: there is nothing to copy",
    ),
    "DETACHED": (
        "the copy was closed or taken over by the slave's owner or broker",
        "nothing: a copy that its owner closed is never opened again",
    ),
    "ACCOUNT_REMOVED": ("the slave account was removed", "add the account again"),
    "SYMBOL_OFF": (
        "copying is off for this symbol of the slave account",
        "switch it on by SymbolsEnable",
    ),
    "ACCOUNT_DISABLED": ("the slave account is disabled", "enable the account"),
    "ACCOUNT_REFUSED": ("the broker refuses the slave's login", "correct the account's password"),
    "READ_ONLY": ("the slave's password is an investor password", "set the trading password"),
    "EQUITY_PROTECTION": (
        "the slave's equity reached a limit of its equity protector",
        "arm it anew by UpdateEquityProtector, then resume the copier",
    ),
    "OTHER_COPIER": (
        "a copier that is not this one trades on the slave account",
        "stop the other one, then settle the position it opened",
    ),
    "OPENS_PAUSED": (
        "opens on the slave account are paused after unresolved or refused attempts",
        "see `copypro unresolved` and `copypro alerts`",
    ),
    "UNMAPPED_SYMBOL": ("the slave has no such symbol", "add a symbol mapping"),
    "AMBIGUOUS_SYMBOL": ("several of the slave's symbols could be meant", "add a symbol mapping"),
    "SYMBOL_MISMATCH": (
        "the two symbols are not the same thing",
        "check contract, currency and price; then add a symbol mapping",
    ),
    "TRADE_DISABLED": ("the slave's symbol may not be traded this way", "ask the slave's broker"),
    "MARKET_CLOSED": ("the slave's market is closed", "nothing: the market opens by itself"),
    "BELOW_MIN_LOT": (
        "the volume is below the slave's minimum",
        "raise the multiplier, or set forceMinLot, which lifts to at most 1.5 times what was meant",
    ),
    "ABOVE_MAX_LOT": ("the volume is above the slave's maximum", "set forceMaxLot to cap it"),
    "VOLUME_LIMIT": (
        "the symbol's volume limit would be exceeded",
        "close something, or size smaller",
    ),
    "INVALID_VOLUME": (
        "the volume is not a number that can be traded",
        "correct the copier's sizing",
    ),
    "NO_MARKET_PRICE": (
        "what the master's symbol costs now is not known, so nobody can tell how far it has moved",
        "remove the copier and start it again while the master is connected",
    ),
    "NO_STOP": (
        "risk-based sizing needs the master's stop loss",
        "set a stop on the master's trade",
    ),
    "NO_CONVERSION_RATE": (
        "no rate to convert between the accounts' currencies",
        "add the currency pair to the slave's market watch, or use fixed lots",
    ),
    "MASTER_BALANCE_UNKNOWN": (
        "the master's balance is zero, stale or not from a synchronised session",
        "wait for the master to synchronise, or set fixedMasterBalance",
    ),
    "SLAVE_BALANCE_UNKNOWN": (
        "the slave's balance is zero, stale or not from a synchronised session",
        "wait for the slave to synchronise",
    ),
    "NOT_ENOUGH_MARGIN": (
        "the free margin would fall below the reserve",
        "deposit, or size smaller",
    ),
    "MARGIN_LEVEL": ("the margin level would fall below the floor", "deposit, or size smaller"),
    "SLIPPAGE": ("the slave's price is too far from the master's", "raise maxSlippage"),
    "STALE_QUOTE": ("the slave's quote is too old", "check the slave's market and connection"),
    "STOP_CROSSED": (
        "the price has already crossed the master's stop",
        "nothing: the idea is dead",
    ),
    "REVERSE_NO_STOP": (
        "a reverse copy's stop is the master's take profit, and the master has none",
        "set a take profit on the master's trade, or the copier's fixedSlPips",
    ),
    "STOPS_TOO_CLOSE": ("the stop is too near the slave's price", "use a wider stop"),
    "STOP_NOT_SET": (
        "the master has a stop and the slave's could not be set",
        "see the broker's code",
    ),
    "NETTING_SHARED": (
        "the netting slave's position of this symbol is not this copier's alone",
        "use a hedging account, or one copier per netting symbol",
    ),
    "PENDING_KIND": (
        "the slave's platform has no such pending order",
        "nothing: it is copied on fill",
    ),
    "PENDING_FILLED": (
        "the master's order filled before the slave's could be placed",
        "nothing: it is copied at the market",
    ),
    "PENDING_STALE": (
        "it waited, and the market has moved too far from the master's price of then to compare",
        "nothing: it is copied on fill",
    ),
    "PENDING_PRICE": (
        "the trigger is on the wrong side of the slave's price",
        "nothing: it is copied on fill",
    ),
    "DISK_FULL": ("the disk is full: nothing is opened", "make room; copying resumes by itself"),
    "CLOCK_OFF": ("this machine's clock is wrong", "run NTP"),
    "BROKER_REFUSED": ("the broker refused", "see the broker's code"),
    "NOT_RESENT": (
        "the attempt was proven absent, and an open is never sent twice",
        "nothing: a missed trade costs less than a doubled one",
    ),
}
"""code: (meaning, what would let it pass)."""
