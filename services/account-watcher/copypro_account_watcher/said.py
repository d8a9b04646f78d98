"""What was said of an account: a failure that stays is said once per cause, and again now and then."""

from __future__ import annotations

from collections.abc import Hashable

from copypro_account_watcher.host import Host


class Said:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._said: dict[Hashable, tuple[str, float]] = {}
        """Of what, by which cause, and when."""

    def is_news(self, what: Hashable, cause: str) -> bool:
        """It fails, and that is to be said now."""
        now, again_s = self._host.monotonic(), self._host.limits.say_again_s
        self._said = {key: said for key, said in self._said.items() if now - said[1] < again_s}
        said = self._said.get(what)
        if said is not None and said[0] == cause:
            return False
        self._said[what] = cause, now
        return True

    def over(self, what: Hashable) -> None:
        """It fails no more: the next time is another one."""
        self._said.pop(what, None)
