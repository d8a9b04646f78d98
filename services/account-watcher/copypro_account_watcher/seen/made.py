"""Deals that are made from what lists show, until history has their figures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from copypro.trading import ClosedOrder
from copypro.values import Lots, Price, digest
from msgspec.structs import replace

from copypro_account_watcher.seen import evidence
from copypro_account_watcher.seen.book import Made, Root

MOST_PLACES = 10
"""Of an average price, which a bridge may write with all the digits of a division."""


def made_number(direction: str, root: Root, lots: Lots) -> int:
    """A deal's number where the broker's is not known: negative, so that it meets no real one."""
    return -int(digest("deal", direction, root.root, plain(lots))[:12], 16)


def rounded(price: Price, average: Price, digits: int | None) -> Price:
    """Rounded as the broker writes prices, with one digit more where that is only guessed."""
    exponent = average.as_tuple().exponent
    guessed = 1 - exponent if isinstance(exponent, int) else MOST_PLACES
    places = digits if digits is not None else min(guessed, MOST_PLACES)
    return price.quantize(Decimal(1).scaleb(-places))


def with_row(made: Sequence[Made], row: ClosedOrder) -> list[Made] | None:
    """With its figures in the deal that it is likeliest of; a row of several is told with the last of
    them. None: it is of none.
    """
    if sum((one.left for one in made), Decimal(0)) < row.lots:
        return None
    found, left = list(made), row.lots
    fits = [one for one in made if one.left >= left]
    exact = [one for one in fits if one.left == left]
    named = [one for one in fits if one.told.deal.ticket == row.deal]
    for one in (named or exact or fits)[:1] or made:
        taken = min(one.left, left)
        left -= taken
        found[found.index(one)] = _with_figures(one, row, taken, is_last=left == 0)
        if left == 0:
            break
    return found


def _with_figures(one: Made, row: ClosedOrder, lots: Lots, *, is_last: bool) -> Made:
    deal = one.told.deal
    value = one.value + row.close_price * lots
    is_whole = one.left == lots
    price = row.close_price
    if lots != deal.lots:
        price = rounded(value / deal.lots, row.close_price, None)
    deal = replace(deal, price=price if is_whole else deal.price)
    if is_last:
        deal = replace(
            deal,
            profit=deal.profit + row.profit,
            swap=deal.swap + row.swap,
            commission=deal.commission + row.commission,
            fee=deal.fee + row.fee,
        )
    told = replace(one.told, deal=deal, reason=evidence.reason(row))
    return Made(told, one.left - lots, value)


def with_more(made: Sequence[Made], lots: Lots) -> list[Made]:
    """The last of them closed so much more than a list showed."""
    if not made:
        return []
    *before, last = made
    deal = replace(last.told.deal, lots=last.told.deal.lots + lots)
    return [*before, Made(replace(last.told, deal=deal), last.left + lots, last.value)]


def plain(lots: Lots) -> str:
    """0.1 and 0.10 are the same number, and so the same identity."""
    return f"{lots.normalize():f}"
