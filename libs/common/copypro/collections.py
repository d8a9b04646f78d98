"""The read models' collections and the top-level fields by which each may be searched or sorted."""

from __future__ import annotations

from collections.abc import Iterable

ACCOUNTS = "accounts"
REGISTRATIONS = "registrations"
OPEN_ORDERS = "open_orders"
CLOSED_ORDERS = "closed_orders"
OPERATIONS = "operations"
"""What moved a balance and was no trade."""
EQUITY = "equity"
"""As recorded, at most once a minute."""
TRADE_STATS = "trade_stats"
"""By account: the statistics of its whole history, and the version of the history they are of."""
COPIERS = "copiers"
REMOVED_COPIERS = "removed_copiers"
"""As they last were."""
CALLBACKS = "callbacks"
"""By copier or registration: whom its user wants to be told, sealed."""
COPY_QUALITY = "copy_quality"
"""By copier: the last decision and the last execution that its quality could be made of."""
TRADE_LOGS = "trade_logs"
LOGS = "logs"
COMMANDS = "commands"
ALERTS = "alerts"
UNRESOLVED = "unresolved"
SYMBOLS = "symbols"
TERMS = "terms"
"""Of each symbol of an account that was needed: its terms of trade."""
ROOTS = "roots"

INDEXED: dict[str, tuple[str, ...]] = {
    ACCOUNTS: (),
    REGISTRATIONS: ("user", "account"),
    OPEN_ORDERS: ("account",),
    CLOSED_ORDERS: ("account", "closed_at"),
    OPERATIONS: ("account", "time"),
    EQUITY: ("account", "time"),
    TRADE_STATS: (),
    COPIERS: ("user", "master", "slave"),
    REMOVED_COPIERS: ("user",),
    CALLBACKS: (),
    COPY_QUALITY: (),
    TRADE_LOGS: ("copier", "time"),
    LOGS: ("copier", "time"),
    COMMANDS: (),
    ALERTS: ("account", "open"),
    UNRESOLVED: ("account", "open"),
    SYMBOLS: ("account",),
    TERMS: ("account",),
    ROOTS: (),
}
"""By collection. `time` and `closed_at` sort as text: ISO, UTC (or the broker's clock), fixed width."""


def require_declared(collection: str, fields: Iterable[str]) -> None:
    """Errors: ValueError that names the field and those that are declared."""
    for field in fields:
        if field not in INDEXED[collection]:
            known = ", ".join(INDEXED[collection]) or "none"
            raise ValueError(f"{collection} cannot be searched by {field}; declared: {known}")
