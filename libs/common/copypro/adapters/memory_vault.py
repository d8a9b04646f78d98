"""A vault in memory, for passwords that are none: those of brokers in this very process."""

from __future__ import annotations

from copypro.errors import KeyDestroyed, SecretsError
from copypro.ports import Rewrapped
from copypro.values import RegistrationId


class MemoryVault:
    """A Vault whose sealed texts say nothing, and which ends with its process."""

    def __init__(self) -> None:
        self._secrets: dict[RegistrationId, list[str]] = {}

    async def seal(self, registration: RegistrationId, secret: str) -> str:
        known = self._secrets.setdefault(registration, [])
        known.append(secret)
        return f"{registration}/{len(known) - 1}"

    async def seal_known(self, registration: RegistrationId, secret: str) -> str:
        if registration not in self._secrets:
            raise KeyDestroyed("the registration's key was destroyed")
        return await self.seal(registration, secret)

    async def unseal(self, registration: RegistrationId, sealed: str) -> str:
        owner, _, number = sealed.rpartition("/")
        known = self._secrets.get(registration, [])
        if owner != registration or not number.isdigit() or int(number) >= len(known):
            raise SecretsError("not sealed here for this registration")
        return known[int(number)]

    async def destroy(self, registration: RegistrationId) -> None:
        self._secrets.pop(registration, None)

    async def rewrap(self, *, dry_run: bool = False) -> Rewrapped:
        """There are no keys here, so none is old."""
        return Rewrapped(keys=len(self._secrets), rewrapped=0)

    async def close(self) -> None:
        self._secrets.clear()
