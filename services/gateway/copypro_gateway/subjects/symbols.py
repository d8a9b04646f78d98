"""Symbols of a copier's two sides, and which of them go together."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.options import SymbolMapping
from copypro.ports import ReadModels
from copypro.values import AccountId, CopierId, Platform, UserId
from pydantic import AliasChoices, Field

from copypro_gateway import rights, shapes
from copypro_gateway.calls import Calls
from copypro_gateway.core import Core, Doc
from copypro_gateway.wording.answers import OK, MappedSymbols, Ok, SymbolTerms
from copypro_gateway.wording.errors import bad
from copypro_gateway.wording.options import MOST_LOTS
from copypro_gateway.wording.parameters import ByAccount, ByCopier, Number, SymbolName, Text
from copypro_gateway.wording.symbol_names import SymbolNames

MOST_MAPPINGS = 1000
"""Of a copier, as those that count them see it. All are one record, and each change writes it anew."""


class AddSymbolMapping(ByCopier):
    master_symbol: SymbolName
    slave_symbol: SymbolName = Field(description="NAME, or NAME__0.2 for fixed lots")
    slave_lots: Number | None = Field(
        None, validation_alias=AliasChoices("slavelots", "slaveLots", "slave_lots")
    )

    def to_mapping(self) -> SymbolMapping:
        """Errors: 400 that names the field."""
        name, _, fixed = self.slave_symbol.partition("__")
        lots = self.slave_lots
        if not name:
            raise bad("slaveSymbol", "names no symbol before __")
        if fixed:
            try:
                lots = Decimal(fixed)
            except ArithmeticError:
                raise bad("slaveSymbol", f"{fixed} after __ is not a volume") from None
        if lots is not None and not (lots.is_finite() and 0 <= lots <= MOST_LOTS):
            raise bad("slavelots", f"{lots} is not a volume")
        return SymbolMapping(
            master_symbol=self.master_symbol, slave_symbol=name, slave_lots=lots or None
        )


class DeleteSymbolMapping(ByCopier):
    master_symbol: Text


class OfAccount(ByAccount):
    """`type` is the original's and says nothing that the id does not."""

    type: Platform | None = None


class Symbols:
    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, calls: Calls) -> None:
        calls.by_id("MappedSymbols", ByCopier, self.mapped, tag="symbols")
        calls.keyed("SymbolList", OfAccount, self.names, tag="symbols")
        calls.keyed("SymbolParamsLite", OfAccount, self.terms, tag="symbols")
        calls.by_id("AddSymbolMapping", AddSymbolMapping, self.map, tag="symbols", changes=True)
        calls.by_id(
            "DeleteSymbolMapping", DeleteSymbolMapping, self.unmap, tag="symbols", changes=True
        )

    async def map(self, user: UserId | None, given: AddSymbolMapping) -> Ok:
        """Says which of the slave's symbols stands for one of the master's."""
        doc: Any = await self._core.copier(user, given.copier_id)
        mapping, master = given.to_mapping(), AccountId(str(doc["master"]))
        SymbolNames(await self._side(doc, "master")).check("masterSymbol", mapping.master_symbol)
        SymbolNames(await self._side(doc, "slave")).check("slaveSymbol", mapping.slave_symbol)
        others = {each["master_symbol"] for each in doc.get("mappings", [])} - {given.master_symbol}
        if len(others) >= MOST_MAPPINGS:
            raise bad(
                "masterSymbol", f"at most {MOST_MAPPINGS} mappings a copier: delete one first"
            )
        wish = m.MapSymbol(copier=CopierId(given.copier_id), master=master, mapping=mapping)
        await self._core.command((topics.COPIER_COMMANDS, master, wish))
        return OK

    async def unmap(self, user: UserId | None, given: DeleteSymbolMapping) -> Ok:
        """Takes a mapping away; from then on names decide again."""
        doc: Any = await self._core.copier(user, given.copier_id)
        mapped = [str(each["master_symbol"]) for each in doc.get("mappings", [])]
        alike = [name for name in mapped if name.lower() == given.master_symbol.lower()]
        if alike and given.master_symbol not in alike:
            raise bad("masterSymbol", f"is mapped as {alike[0]}: see MappedSymbols")
        master = AccountId(str(doc["master"]))
        wish = m.UnmapSymbol(
            copier=CopierId(given.copier_id), master=master, master_symbol=given.master_symbol
        )
        await self._core.command((topics.COPIER_COMMANDS, master, wish))
        return OK

    async def names(self, user: UserId, given: OfAccount) -> list[str]:
        """The account's symbols, as its broker writes them."""
        registration = await self._core.readable(user, given.account_id)
        return await names_of(self._core.models, str(registration["account"]))

    async def terms(self, user: UserId, given: OfAccount) -> list[SymbolTerms]:
        """Volumes and trade mode of each symbol; null where nobody has needed them yet."""
        registration = await self._core.readable(user, given.account_id)
        account = str(registration["account"])
        found: Any = await self._core.models.find(c.TERMS, {"account": account}, limit=None)
        known = {doc["symbol"]: doc for doc in found}
        return [
            _terms(name, known.get(name, {})) for name in await names_of(self._core.models, account)
        ]

    async def mapped(self, user: UserId | None, given: ByCopier) -> MappedSymbols:
        """A copier's mappings, and the symbols of both its sides."""
        doc = await self._core.copier(user, given.copier_id)
        names = {role: await self._side(doc, role) for role in ("master", "slave")}
        mappings: Any = doc.get("mappings", [])
        return {
            "mappedSymbols": [
                {
                    "masterSymbol": mapping["master_symbol"],
                    "slaveSymbol": mapping["slave_symbol"],
                    "slaveLots": shapes.number(mapping.get("slave_lots")) or 0,
                }
                for mapping in mappings
            ],
            "masterSymbols": names["master"],
            "slaveSymbols": names["slave"],
        }

    async def _side(self, copier: Doc, role: str) -> list[str]:
        """Of a copier's master or slave; of one that may not be read, none."""
        side = await self._core.models.get(c.REGISTRATIONS, str(copier[f"{role}_registration"]))
        return [] if side is None else await readable_names(self._core.models, side)


async def readable_names(models: ReadModels, registration: Doc) -> list[str]:
    """None of an account that may not be read."""
    may_read = rights.may_read(registration)
    return await names_of(models, str(registration["account"])) if may_read else []


async def names_of(models: ReadModels, account: str) -> list[str]:
    """The first piece says how many there are: those of a longer list that was before are over."""
    found: Any = await models.find(c.SYMBOLS, {"account": account}, limit=None)
    pieces = sorted(found, key=lambda piece: piece["piece"])
    if pieces:
        del pieces[pieces[0].get("pieces", len(pieces)) :]
    return [str(name) for piece in pieces for name in piece["names"]]


def _terms(symbol: str, known: Doc) -> SymbolTerms:
    return {
        "symbol": symbol,
        "lotMin": shapes.number(known.get("lot_min")),
        "lotMax": shapes.number(known.get("lot_max")),
        "tradeMode": known.get("trade_mode"),
    }
