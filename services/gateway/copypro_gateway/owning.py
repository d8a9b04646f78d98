"""Whose command it is, told by its id: nothing has to be kept for it. Pure.

Half of an id is random, the other half follows from that and from its owner, so another's id is
recognised as not one's own. It proves nothing by itself: who asks has shown his key before.
"""

from __future__ import annotations

from contextvars import ContextVar

from copypro.values import MessageId, digest

OWNER: ContextVar[str] = ContextVar("owner", default="")
"""Of the commands that are made now."""
NOBODY = "nobody"
"""Whoever makes calls by an id alone: theirs may be asked about by anybody who knows them."""
HALF = 16


def command_id(random: str, owner: str) -> MessageId:
    """`random`: 32 hex digits, of which 64 bits are used."""
    half = random[:HALF]
    return MessageId(half + digest("command", owner, half)[:HALF])


def is_of(id: str, owner: str) -> bool:
    return any(id == command_id(id, each) for each in (owner, NOBODY))
