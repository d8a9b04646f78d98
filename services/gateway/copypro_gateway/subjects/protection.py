"""Equity protectors: setting one, and showing how it stands."""

from __future__ import annotations

from typing import Annotated

from copypro import messages as m
from copypro import topics
from copypro.protection import ProtectorSettings, problem
from copypro.values import AccountId, RegistrationId, UserId
from pydantic import BeforeValidator, Field

from copypro_gateway import rights
from copypro_gateway.calls import Calls
from copypro_gateway.core import Core, Doc
from copypro_gateway.wording.answers import OK, Ok
from copypro_gateway.wording.errors import ApiError, bad
from copypro_gateway.wording.parameters import ByAccount, Number

Limit = Annotated[Number | None, BeforeValidator(lambda given: None if given == "" else given)]


class UpdateEquityProtector(ByAccount):
    """The whole protector anew: what is left out is off. 0 is the same as left out."""

    enabled: bool = True
    daily_reset: bool = Field(False, description="anew at midnight of the broker's clock")
    alert: bool = Field(False, description="raises EQUITY_PROTECTION")
    disable_copier: bool = Field(False, description="pauses the account's copiers")
    close_copied_trades: bool = Field(False, description="closes the copies on this account")
    close_all_trades: bool = Field(
        False, description="closes EVERYTHING on the account, whoever opened it, pending orders too"
    )
    stop_loss_percent: Limit = Field(None, description="lost of the start; 5 is 5 %")
    stop_loss_value: Limit = Field(None, description="lost, in the account's currency")
    stop_loss_absolute: Limit = Field(None, description="equity at or below this")
    take_profit_percent: Limit = Field(None, description="won of the start; 5 is 5 %")
    take_profit_value: Limit = Field(None, description="won, in the account's currency")
    take_profit_absolute: Limit = Field(None, description="equity at or above this")
    start_balance: Limit = Field(
        None, description="what percent and value count from; left out: balance and credit as now"
    )

    def to_settings(self) -> ProtectorSettings:
        """Errors: 400 that names the field, also for numbers that contradict each other."""
        given = {name: getattr(self, name) for name in ProtectorSettings.__struct_fields__}
        left_out = [name for name, value in given.items() if value == 0 and _is_limit(name)]
        settings = ProtectorSettings(**given | dict.fromkeys(left_out))
        wrong = problem(settings)
        if wrong is not None:
            raise bad(*wrong)
        return settings


class Protection:
    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, calls: Calls) -> None:
        calls.keyed(
            "UpdateEquityProtector",
            UpdateEquityProtector,
            self.update,
            tag="protection",
            changes=True,
        )

    async def update(self, user: UserId, given: UpdateEquityProtector) -> Ok:
        """Arms an account's equity protector, anew whatever it did before. Only whoever may trade
        on the account sets it.
        """
        registration = await self.tradable(user, given.account_id)
        settings = given.to_settings()
        wish = m.UpdateEquityProtector(
            account=AccountId(str(registration["account"])),
            registration=RegistrationId(str(registration["id"])),
            settings=settings,
        )
        await self._core.command((topics.ACCOUNT_COMMANDS, wish.account, wish))
        return OK

    async def tradable(self, user: UserId, id: str) -> Doc:
        registration = await self._core.readable(user, id)
        if registration.get("kind") == "imported":
            text = "was imported from a report: there is nothing on it to protect"
            raise ApiError(400, "IMPORTED_ACCOUNT", f"accountId: {text}")
        if not rights.may_trade(registration):
            raise rights.read_only("accountId")
        return registration


def refuse_while_protected(registration: Doc | None) -> None:
    """A copier of an account whose protector has acted opens nothing, so it is not resumed either."""
    protector = (registration or {}).get("protector") or {}
    if protector.get("tripped") and protector["settings"].get("disable_copier"):
        text = (
            "the slave's equity protector has acted and keeps its copiers paused: arm it anew by"
            " UpdateEquityProtector, then resume the copier"
        )
        raise ApiError(409, "EQUITY_PROTECTION", text)


def _is_limit(name: str) -> bool:
    return name.startswith(("stop_", "take_", "start_"))
