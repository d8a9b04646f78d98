"""Either platform's terminals, by the platform's name."""

from __future__ import annotations

from collections.abc import Mapping

from copypro.adapters.dialect import Dialect
from copypro.adapters.mt4_terminal import Mt4Dialect
from copypro.adapters.mt5_terminal import Mt5Dialect
from copypro.adapters.terminal import Terminals
from copypro.ports import TerminalLimits
from copypro.values import Platform

DIALECTS: Mapping[Platform, Dialect] = {Platform.MT4: Mt4Dialect(), Platform.MT5: Mt5Dialect()}


def terminal_factory(
    platform: Platform,
    bridge_url: str,
    limits: TerminalLimits,
    reads_per_s: float,
    headers: Mapping[str, str] | None = None,
) -> Terminals:
    """A TerminalFactory with an `aclose` for what its terminals share."""
    return Terminals(DIALECTS[platform], bridge_url, limits, reads_per_s, headers)
