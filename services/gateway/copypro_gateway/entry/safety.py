"""What makes the gateway safe to put on a network, as one value that is handed in."""

from __future__ import annotations

from msgspec import Struct

from copypro_gateway.entry.auth import SignUps
from copypro_gateway.entry.guessing import GuessLimits


class Safety(Struct, frozen=True, kw_only=True):
    sign_ups: SignUps = SignUps.OPEN
    guesses: GuessLimits = GuessLimits()
    requests_per_s: float = 100.0
    """Of one key; 0: no limit."""
    address_requests_per_s: float = 200.0
    """Of one address; 0: no limit."""
    keyless_changes_per_s: float = 1.0
    """Calls without a key that may change something, of one address: each is written down."""
    keyless_burst: float = 60.0
    burst_s: float = 10.0
    """So many seconds' worth may come at once."""
    body_bytes: int = 1_000_000
    query_bytes: int = 16_384
    cors_origins: tuple[str, ...] = ()
    tls: bool = False
    """Browsers are told to come by TLS alone."""


DEFAULTS = Safety()
