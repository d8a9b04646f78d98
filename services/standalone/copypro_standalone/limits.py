"""Time limits for tests of the real program: the same values, scaled down by name."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from copypro.errors import SettingsError
from copypro.ports import TerminalLimits
from copypro_account_watcher.limits import WatcherLimits

VARIABLE = "COPYPRO_TEST_LIMITS"
REAL_LIMITS = (WatcherLimits(), TerminalLimits())


def scaled_limits(
    environment: Mapping[str, str], *, wanted: bool
) -> tuple[WatcherLimits, TerminalLimits]:
    """The real limits, or those of the variable's JSON object when the caller asks for them by option.

    With the real ones orders are sent and given up as they must be with real money, so the variable
    alone changes nothing. Errors: SettingsError (set and not asked for, or a name that is no limit).
    """
    text = environment.get(VARIABLE, "")
    if not text:
        return REAL_LIMITS
    if not wanted:
        raise SettingsError(f"{VARIABLE} is set, which is for tests of this program: unset it")
    try:
        given = msgspec.json.decode(text, type=dict[str, object])
        watcher = _those_of(WatcherLimits, given)
        terminal = _those_of(TerminalLimits, given)
        unknown = given.keys() - watcher.keys() - terminal.keys()
        if unknown:
            raise SettingsError(f"{VARIABLE}: there is no limit {', '.join(sorted(unknown))}")
        return msgspec.convert(watcher, WatcherLimits), msgspec.convert(terminal, TerminalLimits)
    except msgspec.MsgspecError as error:
        raise SettingsError(f"{VARIABLE}: {error}") from None


def _those_of(kind: type[msgspec.Struct], given: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in given.items() if name in kind.__struct_fields__}
