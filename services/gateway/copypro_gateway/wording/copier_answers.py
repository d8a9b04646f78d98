"""What calls answer about copiers, by the original's names."""

from __future__ import annotations

from typing import Literal, TypedDict

from copypro.messages import StopReason
from copypro.options import FilterMode, MagicMode, PendingMode, RiskType, SideFilter, StopMode
from copypro.values import Platform


class Copier(TypedDict):
    """CopyService: its options and both accounts, without their passwords. An option is null where the
    copier was last changed before there was such an option; of an account that is gone, only the
    id is left. `pauseReason` is None (a text), the original's word, or what the caller gave.
    """

    id: str
    copierId: str
    uniqueCopierId: str
    masterAccountId: str
    slaveAccountId: str
    paused: bool
    pauseReason: str
    loaded: bool
    tradeLogCallbackUrl: str | None
    startedAt: str | None
    mappedSymbols: dict[str, str]
    riskType: RiskType | None
    riskValue: float | None
    riskMultiply: float | None
    fixedMasterBalance: float | None
    lotRefiner: float | None
    stopLossRefinementPips: int | None
    takeProfitRefinementPips: int | None
    copyPendingOrders: bool
    filterMagicOption: FilterMode | None
    filterCommentOption: FilterMode | None
    filterLotEnabled: bool | None
    filterLotMin: float | None
    filterLotMax: float | None
    maxSlippage: float | None
    maxAgeS: float | None
    marginReserve: float | None
    minMarginLevel: float | None
    contractAlignment: bool | None
    forceMinLot: bool | None
    forceMaxLot: bool | None
    slMode: StopMode | None
    fixedSlPips: int | None
    fixedTpPips: int | None
    copyExpiryTime: bool | None
    copyExistingTrades: bool | None
    reverseCopy: bool | None
    strictClose: bool | None
    tradeDelayMs: int | None
    copyMagicNumber: MagicMode | None
    magicNumber: int | None
    filterMagicValue: int | None
    filterCommentValue: str | None
    filterSide: SideFilter | None
    pendingMode: PendingMode | None
    copySL: bool | None
    copyTP: bool | None
    masterType: Platform | None
    masterUser: int | None
    masterPassword: Literal["***"]
    masterServer: str | None
    masterName: str | None
    masterApiId: str | None
    slaveType: Platform | None
    slaveUser: int | None
    slavePassword: Literal["***"]
    slaveServer: str | None
    slaveName: str | None
    slaveApiId: str | None


class ManagedCopier(Copier):
    userId: str


class RemovedCopier(ManagedCopier):
    """As it last was, with when and why it ended."""

    removedAt: str
    removedBecause: StopReason
