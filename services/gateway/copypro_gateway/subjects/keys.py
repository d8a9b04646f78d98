"""A user's keys: listing, making, removing. Sign-ins make keys as well, and are among them."""

from __future__ import annotations

from typing import Literal

from copypro.ports import KeyScope
from copypro.values import UserId
from pydantic import Field

from copypro_gateway import shapes
from copypro_gateway.calls import Calls
from copypro_gateway.entry.auth import Auth
from copypro_gateway.entry.gate import CALLER
from copypro_gateway.wording.answers import OK, KeyAdded, KeyListed, Ok
from copypro_gateway.wording.parameters import Parameters, Text


class AddKey(Parameters):
    name: Text = Field(min_length=1, description="for you, such as the program that has it")
    scope: Literal["read", "trade", "admin"] = Field(
        "read", description="read; trade: copiers too; admin: accounts, passwords and keys too"
    )
    days: int | None = Field(None, ge=1, le=3650, description="until it is over; unset: never")


class RemoveKey(Parameters):
    id: Text = Field(description="as Keys lists it")


class Keys:
    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    def register(self, calls: Calls) -> None:
        calls.keyed("Keys", Parameters, self.all, tag="users")
        calls.keyed("AddKey", AddKey, self.add, tag="users")
        calls.keyed("RemoveKey", RemoveKey, self.remove, tag="users")

    async def all(self, user: UserId, _: Parameters) -> list[KeyListed]:
        """The user's keys, without the keys themselves; `current`: the one that asks."""
        caller = CALLER.get()
        return [
            {
                **shapes.user_key(key),
                "current": caller is not None and key.hash == caller.key.hash,
            }
            for key in await self._auth.keys(user)
        ]

    async def add(self, user: UserId, given: AddKey) -> KeyAdded:
        """Makes a key with a name and rights of its own; no other answer ever has it."""
        scope = KeyScope[given.scope.upper()]
        key, kept = await self._auth.add_key(user, given.name, scope, given.days)
        return {"userKey": key, **shapes.user_key(kept)}

    async def remove(self, user: UserId, given: RemoveKey) -> Ok:
        """Takes a key away, at once."""
        await self._auth.remove_key(user, given.id)
        return OK
