"""Everything that shapes a copy, as parameters of Start and UpdateCopier."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from copypro.options import (
    CopierOptions,
    FilterMode,
    MagicMode,
    PendingMode,
    RiskType,
    SideFilter,
    StopMode,
)
from pydantic import Field

from copypro_gateway.wording.errors import bad
from copypro_gateway.wording.parameters import SHORT, Number, Parameters, Text

MOST_LOTS = Decimal(100_000)
MOST_PIPS = 1_000_000
MOST_MONEY = Decimal(10**15)
"""Of an amount or a price: above it is no account's, and numbers without end are kept out of the log."""

LotsLimit = Annotated[Decimal, Field(ge=0, le=MOST_LOTS), SHORT]
Amount = Annotated[Decimal, Field(ge=0, le=MOST_MONEY), SHORT]


class Options(Parameters):
    """Everything that shapes a copy, by the original's names; what is left out has the original's default."""

    risk_type: RiskType = RiskType.LOT_MULTIPLIER
    risk_value: Number = Decimal(1)
    risk_multiply: Number | None = None
    fixed_master_balance: Annotated[Decimal, Field(le=MOST_MONEY), SHORT] = Decimal(0)
    contract_alignment: bool = True
    force_min_lot: bool = False
    force_max_lot: bool = False
    lot_refiner: Number = Decimal(1)
    copy_sl: bool = Field(True, alias="copySL")
    copy_tp: bool = Field(True, alias="copyTP")
    sl_mode: StopMode = StopMode.AUTO
    fixed_sl_pips: int = Field(0, ge=0, le=MOST_PIPS)
    fixed_tp_pips: int = Field(0, ge=0, le=MOST_PIPS)
    stop_loss_refinement_pips: int = Field(0, ge=-MOST_PIPS, le=MOST_PIPS)
    take_profit_refinement_pips: int = Field(0, ge=-MOST_PIPS, le=MOST_PIPS)
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
    filter_magic_value: int = Field(0, ge=-(2**63), lt=2**63)
    filter_comment_option: FilterMode = FilterMode.NONE
    filter_comment_value: Text = ""
    filter_side: SideFilter = SideFilter.ALL
    filter_lot_enabled: bool = False
    filter_lot_min: LotsLimit = Decimal(0)
    filter_lot_max: LotsLimit = Decimal(0)
    max_slippage: Amount | None = None
    max_age_s: float = Field(60.0, gt=0, le=3600)
    margin_reserve: Annotated[Decimal, Field(ge=0, lt=1), SHORT] = Decimal("0.2")
    min_margin_level: Amount | None = None

    def to_options(self) -> CopierOptions:
        """Errors: 400 that names the field, also for options that contradict each other."""
        self._check()
        pending = self.pending_mode or (
            PendingMode.MIRROR if self.copy_pending_orders else PendingMode.MARKET_ON_FILL
        )
        return CopierOptions(
            risk_type=self.risk_type,
            risk_value=self.risk_value,
            risk_multiply=self.risk_multiply or None,
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
        if self.risk_type is RiskType.FIXED_LOT and "risk_value" not in self.model_fields_set:
            raise bad("riskValue", "FixedLot needs the lots of each copy")
        for name, value in (("riskValue", self.risk_value), ("lotRefiner", self.lot_refiner)):
            if not value.is_finite() or value <= 0 or value > MOST_LOTS:
                raise bad(name, f"{value} is not above 0 and at most {MOST_LOTS}")
        if self.risk_multiply and not 0 < self.risk_multiply <= MOST_LOTS:
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
        if self.filter_comment_option is FilterMode.IGNORE and not self.filter_comment_value:
            raise bad(
                "filterCommentValue", "is empty, which is in every comment: nothing is copied"
            )
        if self.copy_magic_number is MagicMode.CUSTOM and self.magic_number == 0:
            raise bad("magicNumber", "copyMagicNumber=Custom needs one")
