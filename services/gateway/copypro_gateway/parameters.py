"""The calls' parameters by the original's names; both of an id's spellings are accepted everywhere."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from copypro.options import (
    CopierOptions,
    FilterMode,
    MagicMode,
    PendingMode,
    RiskType,
    SideFilter,
    StopMode,
)
from copypro.values import Platform
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from copypro_gateway.errors import bad

MOST_LOTS = Decimal(100_000)
Text = Annotated[str, Field(max_length=512)]


class Parameters(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")
    user_key: Text | None = Field(None, description="also as Authorization: Bearer (recommended)")


class SignUp(Parameters):
    email: Text
    password_hash: Text = Field(description="SHA-256 of the password, made by the client")
    manager_key: Text | None = None


class SignIn(Parameters):
    email: Text
    password_hash: Text


class AddAccount(Parameters):
    type: Platform
    user: int = Field(gt=0, lt=2**63, description="the account's login")
    password: Text = Field(min_length=1)
    server: Text = Field(min_length=1, description="exactly as the terminal shows it")
    name: Text = ""


class ByAccount(Parameters):
    account_id: Text = Field(
        validation_alias=AliasChoices("accountId", "account_id", "apiId", "id"),
    )


class RemoveAccount(ByAccount):
    close_trades: bool = False


class ClosedOrders(ByAccount):
    from_: Text | None = Field(None, alias="from")
    to: Text | None = None
    limit: int = Field(1000, ge=1, le=10_000)


class TradeStats(ByAccount):
    """`type` is the original's and says nothing that the id does not."""

    from_: Text | None = Field(None, alias="from", description="by close time, the broker's clock")
    exclude_same_bars: bool = Field(
        True, description="leaves out days whose balance and equity are those of the day before"
    )
    type: Platform | None = None


class ByCopier(Parameters):
    copier_id: Text = Field(validation_alias=AliasChoices("id", "copierId", "copier_id"))


class RemoveCopier(ByCopier):
    close_trades: bool | None = Field(
        None, description="unset: open copies are followed until flat"
    )


class Logs(ByCopier):
    limit: int = Field(1000, ge=1, le=10_000)
    log_level: str | None = None


class TradeLogsAll(Parameters):
    limit: int = Field(1000, ge=1, le=10_000)


class CopierPause(ByCopier):
    paused: bool
    reason: Text = "ByUser"


class AddSymbolMapping(ByCopier):
    master_symbol: Text
    slave_symbol: Text = Field(description="NAME, or NAME__0.2 for fixed lots")
    slave_lots: Decimal | None = Field(
        None, validation_alias=AliasChoices("slavelots", "slaveLots", "slave_lots")
    )


class DeleteSymbolMapping(ByCopier):
    master_symbol: Text


class Settle(Parameters):
    account_id: Text = Field(validation_alias=AliasChoices("accountId", "account_id", "apiId"))
    attempt: Text | None = None
    ticket: int | None = None
    found: bool | None = None


class ReplayDeadLetter(Parameters):
    """A letter's name, as `copypro dead-letters list` shows it."""

    topic: Text
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)


class Options(Parameters):
    """Everything of mt-rest's CopyPro that shapes a copy; what is left out has the original's default."""

    risk_type: RiskType = RiskType.LOT_MULTIPLIER
    risk_value: Decimal = Decimal(1)
    risk_multiply: Decimal | None = None
    fixed_master_balance: Decimal = Decimal(0)
    contract_alignment: bool = True
    force_min_lot: bool = False
    force_max_lot: bool = False
    lot_refiner: Decimal = Decimal(1)
    copy_sl: bool = Field(True, alias="copySL")
    copy_tp: bool = Field(True, alias="copyTP")
    sl_mode: StopMode = StopMode.AUTO
    fixed_sl_pips: int = Field(0, ge=0)
    fixed_tp_pips: int = Field(0, ge=0)
    stop_loss_refinement_pips: int = 0
    take_profit_refinement_pips: int = 0
    copy_pending_orders: bool = False
    pending_mode: PendingMode | None = None
    copy_expiry_time: bool = False
    copy_existing_trades: bool = False
    reverse_copy: bool = False
    strict_close: bool = False
    trade_delay_ms: int = Field(0, ge=0, le=60_000)
    copy_magic_number: MagicMode = MagicMode.NO
    magic_number: int = Field(0, ge=0, lt=2**31)
    filter_magic_option: FilterMode = FilterMode.NONE
    filter_magic_value: int = 0
    filter_comment_option: FilterMode = FilterMode.NONE
    filter_comment_value: Text = ""
    filter_side: SideFilter = SideFilter.ALL
    filter_lot_enabled: bool = False
    filter_lot_min: Decimal = Decimal(0)
    filter_lot_max: Decimal = Decimal(0)
    max_slippage: Decimal | None = None
    max_age_s: float = Field(60.0, gt=0, le=3600)
    margin_reserve: Decimal = Field(Decimal("0.2"), ge=0, lt=1)
    min_margin_level: Decimal | None = None

    def to_options(self) -> CopierOptions:
        """Errors: 400 that names the field, also for options that contradict each other."""
        self._check()
        pending = self.pending_mode or (
            PendingMode.MIRROR if self.copy_pending_orders else PendingMode.MARKET_ON_FILL
        )
        return CopierOptions(
            risk_type=self.risk_type,
            risk_value=self.risk_value,
            risk_multiply=self.risk_multiply,
            fixed_master_balance=self.fixed_master_balance,
            contract_alignment=self.contract_alignment,
            force_min_lot=self.force_min_lot,
            force_max_lot=self.force_max_lot,
            lot_refiner=self.lot_refiner,
            copy_sl=self.copy_sl,
            copy_tp=self.copy_tp,
            sl_mode=self.sl_mode,
            fixed_sl_pips=self.fixed_sl_pips,
            fixed_tp_pips=self.fixed_tp_pips,
            sl_refinement_pips=self.stop_loss_refinement_pips,
            tp_refinement_pips=self.take_profit_refinement_pips,
            pending_mode=pending,
            copy_expiry_time=self.copy_expiry_time,
            copy_existing_trades=self.copy_existing_trades,
            reverse_copy=self.reverse_copy,
            strict_close=self.strict_close,
            trade_delay_ms=self.trade_delay_ms,
            copy_magic_number=self.copy_magic_number,
            magic_number=self.magic_number,
            filter_magic=self.filter_magic_option,
            filter_magic_value=self.filter_magic_value,
            filter_comment=self.filter_comment_option,
            filter_comment_value=self.filter_comment_value,
            filter_side=self.filter_side,
            filter_lots=self.filter_lot_enabled,
            filter_lots_min=self.filter_lot_min,
            filter_lots_max=self.filter_lot_max,
            max_slippage=self.max_slippage,
            max_age_s=self.max_age_s,
            margin_reserve=self.margin_reserve,
            min_margin_level=self.min_margin_level,
        )

    def _check(self) -> None:
        for name, value in (("riskValue", self.risk_value), ("lotRefiner", self.lot_refiner)):
            if not value.is_finite() or value <= 0 or value > MOST_LOTS:
                raise bad(name, f"{value} is not above 0 and at most {MOST_LOTS}")
        if self.risk_multiply is not None and not 0 < self.risk_multiply <= MOST_LOTS:
            raise bad(
                "riskMultiply", f"{self.risk_multiply} is not above 0 and at most {MOST_LOTS}"
            )
        if self.risk_type is RiskType.FIXED_RISK and self.risk_value > 100:
            raise bad("riskValue", "FixedRisk is percent of the slave's equity: at most 100")
        if self.fixed_master_balance < 0:
            raise bad("fixedMasterBalance", "0 (the live balance) or above")
        if self.reverse_copy and self.risk_type is RiskType.FIXED_RISK and not self.copy_tp:
            raise bad(
                "copyTP", "FixedRisk with reverseCopy takes its stop from the master's target"
            )
        if self.copy_pending_orders and self.pending_mode not in (None, PendingMode.MIRROR):
            raise bad("pendingMode", f"{self.pending_mode} contradicts copyPendingOrders")
        if self.filter_lot_enabled and 0 < self.filter_lot_max < self.filter_lot_min:
            raise bad("filterLotMax", "below filterLotMin: nothing would be copied")
        if self.copy_magic_number is MagicMode.CUSTOM and self.magic_number == 0:
            raise bad("magicNumber", "copyMagicNumber=Custom needs one")


class Start(Options):
    """By ids, or the older form with both accounts inline."""

    master_account_id: Text | None = Field(
        None, validation_alias=AliasChoices("masterAccountId", "masterApiId", "master_account_id")
    )
    slave_account_id: Text | None = Field(
        None, validation_alias=AliasChoices("slaveAccountId", "slaveApiId", "slave_account_id")
    )
    master_type: Platform | None = None
    master_user: int | None = None
    master_password: Text | None = None
    master_server: Text | None = None
    master_name: Text = ""
    slave_type: Platform | None = None
    slave_user: int | None = None
    slave_password: Text | None = None
    slave_server: Text | None = None
    slave_name: Text = ""

    def account(self, role: Literal["master", "slave"]) -> AddAccount | None:
        """The inline form of one side, if it is given whole."""
        given = {
            name: getattr(self, f"{role}_{name}") for name in ("type", "user", "password", "server")
        }
        if all(value is None for value in given.values()):
            return None
        for name, value in given.items():
            if value is None:
                raise bad(f"{role}{name.capitalize()}", "is needed with the inline form of Start")
        return AddAccount.model_validate(
            {**given, "name": getattr(self, f"{role}_name")}, by_name=True
        )


class UpdateCopier(Options):
    copier_id: Text = Field(validation_alias=AliasChoices("id", "copierId", "copier_id"))
