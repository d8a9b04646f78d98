"""Time limits for tests of the real program: the same values, scaled down by name."""

from __future__ import annotations

import msgspec
from copypro.ports import TerminalLimits
from copypro_account_watcher.limits import WatcherLimits


def scaled_limits(text: str) -> tuple[WatcherLimits, TerminalLimits]:
    """`text` is a JSON object of limit names and values; empty: the real ones."""
    given = msgspec.json.decode(text) if text else {}
    watcher = {k: v for k, v in given.items() if k in WatcherLimits.__struct_fields__}
    terminal = {k: v for k, v in given.items() if k in TerminalLimits.__struct_fields__}
    return msgspec.convert(watcher, WatcherLimits), msgspec.convert(terminal, TerminalLimits)
