"""Old records as today's: for each kind of message and version, how it is said in the next version.

The version counts all messages together. It goes up only when an old reader would misunderstand
what is written: a field renamed, split, given another meaning or unit, or made required. A new
message, or a new field with a default, needs neither a new version nor an upcaster: who does not
know it ignores it. Records are never rewritten, so an upcaster stays for as long as the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

Json = dict[str, Any]
Upcaster = Callable[[Json], Json]
"""Pure: a message's JSON object as one version wrote it, to the same fact as the next one writes it.
It may change `type`; the next version's upcaster is then looked up under the new one. It must not
invent: what an old record does not say gets a value that means "not known".
"""


class Schema(Struct, frozen=True):
    """`upcasters` by (topic, type, version it reads); where there is none nothing changed."""

    version: int
    upcasters: Mapping[tuple[str, str, int], Upcaster] = {}

    def upcast(self, topic: str, version: int, message: Json) -> Json:
        """The message as today's version says it, one version after another."""
        for step in range(version, self.version):
            upcaster = self.upcasters.get((topic, str(message.get("type")), step))
            if upcaster is not None:
                message = upcaster(message)
        return message


SCHEMA = Schema(version=1)
"""What this program writes and can read."""
