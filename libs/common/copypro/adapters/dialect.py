"""What a platform's dialect must tell the terminal that speaks it."""

from __future__ import annotations

from typing import Protocol

from copypro.adapters.bridge_json import Details, Params, Summary
from copypro.ports import Credentials
from copypro.trading import (
    AccountInfo,
    CloseRequest,
    DeleteRequest,
    Done,
    History,
    ModifyRequest,
    OpenOrder,
    OpenRequest,
    OrdersSeen,
    SymbolSpec,
)
from copypro.values import Lots, OrderKind, Platform


class Dialect(Protocol):
    """How a platform's bridge names its calls and shapes its answers. Pure.

    Whatever reads an answer raises Unreadable for one that is not what the bridge documents.
    """

    @property
    def platform(self) -> Platform: ...
    @property
    def quote_call(self) -> str: ...
    @property
    def has_synced(self) -> bool:
        """AccountSummary says whether the session's data are loaded."""

    def info(self, summary: Summary, details: Details, who: Credentials) -> AccountInfo: ...
    def orders(self, body: bytes) -> tuple[OpenOrder, ...]: ...
    def frame(self, body: bytes) -> OrdersSeen:
        """Of the data of an OrderUpdate."""

    def history(self, body: bytes) -> tuple[History, bool]: ...
    def spec(self, name: str, body: bytes) -> SymbolSpec: ...

    def quote_params(self, name: str, max_age_s: float) -> Params: ...
    def margin_params(self, symbol: str, kind: OrderKind, lots: Lots) -> Params | None: ...
    def open_call(self, request: OpenRequest) -> tuple[str, Params]: ...
    def modify_call(self, request: ModifyRequest) -> tuple[str, Params]: ...
    def close_call(self, request: CloseRequest) -> tuple[str, Params]: ...
    def delete_call(self, request: DeleteRequest, *, lacks_delete: bool) -> tuple[str, Params]: ...

    def opened(self, body: bytes, request: OpenRequest) -> Done: ...
    def modified(self, body: bytes, request: ModifyRequest) -> Done: ...
    def closed(self, body: bytes, request: CloseRequest) -> Done: ...
    def deleted(self, body: bytes, request: DeleteRequest) -> Done: ...
