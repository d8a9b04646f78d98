"""How to be nasty: what real bridges, brokers and networks were seen to do, each on request."""

from __future__ import annotations

from msgspec import Struct

TRADE_CALLS = frozenset(
    name + suffix
    for name in ("ordersend", "ordermodify", "orderclose", "orderdelete", "ordercloseby")
    for suffix in ("", "safe", "task")
) | {"ordercanceltask"}


class Knob(Struct, kw_only=True, omit_defaults=True):
    """What happens to the next `times` calls that match."""

    endpoint: str = "trade"
    """A call's name, "trade" for all that change something, or "*"."""
    login: int = 0
    """0: any account."""
    symbol: str = ""
    """Empty: any, and calls that have none."""
    times: int = 1
    """−1: until cleared."""
    delay_before_s: float = 0.0
    delay_after_s: float = 0.0
    """Between doing it and answering."""
    error: str = ""
    """Answer with this code."""
    execute: bool = False
    """Do it all the same before answering with the error, the cut, the silence or the body."""
    cut: str = ""
    """"before": hang up instead of answering; "mid": in the middle of the answer."""
    silent: bool = False
    """Never answer."""
    status: int = 0
    body: str = ""
    fill_lots: str = ""
    """Fill only so much."""
    fill_rest_s: float = 0.0
    """With `fill_lots`: so long after, the rest is filled on the same ticket (MT5)."""
    close_lots: str = ""
    """Close so much whatever was asked; 0: everything, as bridges do that do not know the parameter."""
    late_s: float = 0.0
    """Do it only so long after the answer was given (or withheld)."""

    def matches(self, endpoint: str, login: int, symbol: str) -> bool:
        if (self.login and self.login != login) or (self.symbol and self.symbol != symbol):
            return False
        if self.endpoint == "trade":
            return endpoint in TRADE_CALLS
        return self.endpoint == "*" or self.endpoint.lower() == endpoint


class StreamKnobs(Struct, kw_only=True, omit_defaults=True):
    """What happens to the next frames of one account's stream; each counts down."""

    lose: int = 0
    duplicate: int = 0
    hold: int = 0
    """Held back until the one after it was sent: out of order."""
    malformed: int = 0
    huge: int = 0
    drop_socket: int = 0
    delay_s: float = 0.0


class FaceKnobs(Struct, kw_only=True, omit_defaults=True):
    """How a whole bridge behaves."""

    error_status: int = 201
    scalars: str = ""
    """"bare" or "quoted", whatever the caller accepts; empty: as it accepts."""
    honours_own_id: bool = True
    """A caller's own id is its token."""
    down: bool = False
    unsynced_calls: int = 0
    """So many calls after a connect answer as not synchronised, with figures of 0."""
    idle_expiry_s: float = 0.0
    """0: tokens live for ever."""
    forget_tokens: bool = False
    """ConnectByToken knows nobody; else also who was disconnected or expired."""
    random_tokens: bool = False
    max_sessions: int = 0
    throttle_per_s: int = 0
    """More calls than this in one second answer 429."""
    noise: bool = True
    """MT5: several frames per action."""
    full_close_lots_zero: bool = True
    history_lag_reads: int = 0
    """So many history reads do not show the newest records yet."""
    history_rows: int = 0
    """OrderHistory of MT5 answers so many at most, then action 14: there is more to fetch."""
    lacks: list[str] = []
    """Calls, in small letters, that this build does not have: 404."""
    closed_orders_cap: int = 100
    bad_utf8_comment: bool = False
    empty_lists: int = 0
    """So many OpenedOrders answer an empty list."""
    error_lists: int = 0
    """So many OpenedOrders answer an error object."""
    stale_lists: int = 0
    """So many OpenedOrders answer what the account's last one did, whatever happened since."""


class Entry(Struct, kw_only=True, omit_defaults=True):
    """One request, as it came in."""

    number: int
    at: float
    """Seconds since 1970."""
    platform: str
    login: int
    endpoint: str
    parameters: dict[str, str]
    """Without the password."""
    executed: bool = False
    answer: str = ""
    """ok, the code of a refusal, or how it was cut."""


class Ledger:
    """Every request that reached a bridge; in counting mode only how many of each call."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.counts: dict[str, int] = {}
        self.counting_only = False
        self._number = 0

    def note(
        self, at: float, platform: str, login: int, endpoint: str, parameters: dict[str, str]
    ) -> Entry:
        self._number += 1
        self.counts[endpoint] = self.counts.get(endpoint, 0) + 1
        entry = Entry(
            number=self._number,
            at=at,
            platform=platform,
            login=login,
            endpoint=endpoint,
            parameters=parameters,
        )
        if not self.counting_only:
            entry.parameters = {
                name: value for name, value in parameters.items() if name not in ("password", "id")
            }
            self.entries.append(entry)
        return entry

    def clear(self) -> None:
        self.entries.clear()
        self.counts.clear()
