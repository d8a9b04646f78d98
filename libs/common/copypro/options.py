"""A copier's settings: the original's options by their own names, with the readings of docs/api.md."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from copypro.values import Lots


class RiskType(StrEnum):
    FIXED_LOT = "FixedLot"
    LOT_MULTIPLIER = "LotMultiplier"
    BALANCE_MULTIPLIER = "BalanceMultiplier"
    FIXED_BALANCE_MULTIPLIER = "FixedBalanceMultiplier"
    EQUITY_MULTIPLIER = "EquityMultiplier"
    FIXED_RISK = "FixedRisk"


class PendingMode(StrEnum):
    MIRROR = "Mirror"
    MARKET_ON_FILL = "MarketOnFill"
    IGNORE = "Ignore"


class StopMode(StrEnum):
    """Which stop a slave gets (by default the price on one server, the offset between servers)."""

    AUTO = "Auto"
    PRICE = "Price"
    DISTANCE = "Distance"
    OFFSET = "Offset"


class MagicMode(StrEnum):
    NO = "No"
    YES = "Yes"
    CUSTOM = "Custom"


class FilterMode(StrEnum):
    NONE = "None"
    COPY = "Copy"
    IGNORE = "Ignore"


class SideFilter(StrEnum):
    ALL = "CopyAll"
    BUY_ONLY = "CopyBuyOnly"
    SELL_ONLY = "CopySellOnly"


class SmallRest(StrEnum):
    """What becomes of a partly closed copy whose rest would fall below the minimum lot."""

    AUTO = "Auto"
    """Keep the minimum if the leg has a stop, else close it all."""
    KEEP_MIN = "KeepMin"
    CLOSE_ALL = "CloseAll"


class CopierOptions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    risk_type: RiskType = RiskType.LOT_MULTIPLIER
    risk_value: Decimal = Decimal(1)
    """Lots, a factor, or (FixedRisk) percent of the slave's equity."""
    risk_multiply: Decimal | None = None
    """Obsolete; when set: BalanceMultiplier with this value, whatever risk_type says."""
    fixed_master_balance: Decimal = Decimal(0)
    """In the master's currency; 0: the live balance."""
    contract_alignment: bool = True
    force_min_lot: bool = False
    force_max_lot: bool = False
    lot_refiner: Decimal = Decimal(1)

    copy_sl: bool = True
    copy_tp: bool = True
    sl_mode: StopMode = StopMode.AUTO
    fixed_sl_pips: int = 0
    fixed_tp_pips: int = 0
    sl_refinement_pips: int = 0
    tp_refinement_pips: int = 0

    pending_mode: PendingMode = PendingMode.MARKET_ON_FILL
    copy_expiry_time: bool = False
    copy_existing_trades: bool = False
    reverse_copy: bool = False
    strict_close: bool = False
    small_rest: SmallRest = SmallRest.AUTO
    trade_delay_ms: int = 0

    copy_magic_number: MagicMode = MagicMode.NO
    magic_number: int = 0
    filter_magic: FilterMode = FilterMode.NONE
    filter_magic_value: int = 0
    filter_comment: FilterMode = FilterMode.NONE
    filter_comment_value: str = ""
    filter_side: SideFilter = SideFilter.ALL
    filter_lots: bool = False
    filter_lots_min: Lots = Decimal(0)
    filter_lots_max: Lots = Decimal(0)

    max_slippage: Decimal | None = None
    """In price units of the slave's symbol; None: the larger of 3 spreads and 0.1 % of the price."""
    max_age_s: float = 60.0
    """An open older than this is another trade: it is denied as EXPIRED."""
    margin_reserve: Decimal = Decimal("0.2")
    """Share of equity that must stay free after an open."""
    min_margin_level: Decimal | None = None
    """Percent; None: no floor."""

    @property
    def has_filters(self) -> bool:
        """Some of the master's trades may be left out for their side, lots, magic or comment."""
        return (
            self.filter_side is not SideFilter.ALL
            or self.filter_magic is not FilterMode.NONE
            or self.filter_comment is not FilterMode.NONE
            or self.filter_lots
        )


class SymbolMapping(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person's word that these two symbols belong together for one copier."""

    master_symbol: str
    slave_symbol: str
    slave_lots: Lots | None = None
    """Overrides all sizing for the symbol."""
