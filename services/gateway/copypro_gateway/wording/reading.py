"""What a client wrote into what a call takes: names and words in any case, empty values as absent. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from functools import cache
from itertools import islice
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from copypro.near import near
from pydantic import AliasChoices, ValidationError
from pydantic.fields import FieldInfo

from copypro_gateway.wording.errors import ApiError, bad
from copypro_gateway.wording.parameters import Parameters

Given = TypeVar("Given", bound=Parameters)
Written = Mapping[str, list[Any]]
"""By name in lower case, every value that came under it."""
_TWO_SLIPS_FROM = 8
"""Letters. Below, two slips make too many names of one."""
_MOST_UNKNOWN = 50
"""Names that are compared: nobody mistypes as many, and each takes its time."""
_SENT_BACK = frozenset(("account", "copier"))
"""What answers have beside an id, and a client that sends a whole one back."""


def from_query(pairs: Iterable[tuple[str, str]]) -> Written:
    written: dict[str, list[Any]] = {}
    for name, value in pairs:
        written.setdefault(name.lower(), []).append(value)
    return written


def from_body(body: bytes) -> Written:
    """Errors: 400 for what is no JSON object, and why it is none."""
    try:
        found = msgspec.json.decode(body.decode("utf-8-sig") or "{}")
    except UnicodeDecodeError:
        raise _no_object("it is not UTF-8") from None
    except RecursionError:
        raise _no_object("it is nested too deeply") from None
    except msgspec.ValidationError:  # where any JSON is taken, only of numbers beyond a double
        raise _no_object("a number is too large") from None
    except msgspec.DecodeError as error:
        raise _no_object(str(error)) from None
    if not isinstance(found, dict):
        raise _no_object()
    return {str(name).lower(): [value] for name, value in found.items()}


def read(kind: type[Given], *written: Written) -> Given:
    """Of a parameter that is in several places, as the first of them has it. Of two spellings of one
    parameter, the first that it is documented by. An empty value is an absent one; of several, where
    one is taken, the last counts. Unknown names are ignored, as the
    original does (but see `refuse_mistyped`). Errors: 400 that names the field, never its value, which
    may be a secret.
    """
    given: dict[str, Any] = {}
    for field in _fields(kind):
        values = next(filter(None, (field.given(place) for place in written)), [])
        if values:
            given[field.name] = values if field.many else field.word(values[-1])
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise bad(str(first["loc"][0]) if first["loc"] else "body", _text(first)) from None


def spellings(kind: type[Parameters]) -> frozenset[str]:
    """Every name of its parameters, in lower case."""
    return frozenset(spelling for field in _fields(kind) for spelling in field.spellings)


def refuse_mistyped(
    kind: type[Parameters], written: Collection[str], known: Collection[str]
) -> None:
    """What was meant would have its default: other lots, or a filter that filters nothing. `known`: the
    names that any call takes. Errors: 400 that names the one written and the one meant.
    """
    for name in islice((name for name in written if name not in known), _MOST_UNKNOWN):
        meant = near(name, _documented(kind), two_from=_TWO_SLIPS_FROM)
        if meant is None or (name in _SENT_BACK and _has_other(kind, meant, written)):
            continue
        raise bad(name, f"is no parameter of this call: {meant} is")


def _has_other(kind: type[Parameters], meant: str, written: Collection[str]) -> bool:
    """Whether that parameter is written by a name of its own."""
    return any(
        spelling in written
        for field in _fields(kind)
        if meant.lower() in field.spellings
        for spelling in field.spellings
    )


_A_NUMBER, _WHOLE = "is not a number like 0.5", "is not a whole number"
_TEXTS = {
    "missing": "is required",
    "decimal_type": _A_NUMBER,
    "decimal_parsing": _A_NUMBER,
    "float_type": _A_NUMBER,
    "float_parsing": _A_NUMBER,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "string_type": "is not a text in quotes",
}
"""In place of the framework's own words, which are a programmer's of another language."""


def _text(error: Mapping[str, Any]) -> str:
    return _TEXTS.get(error["type"]) or str(error["msg"])


def _no_object(reason: str = "") -> ApiError:
    text = 'is not a JSON object like {"accountId": "…"}'
    return bad("body", f"{text}: {reason}" if reason else text)


class _Field(msgspec.Struct, frozen=True):
    """`name`: as pydantic takes it; `spellings`: as clients may; `words`: those it may be, if it is one."""

    name: str
    spellings: tuple[str, ...]
    many: bool
    words: Mapping[str, str]

    def given(self, written: Written) -> list[Any]:
        """Under the first spelling that has any."""
        for spelling in self.spellings:
            under = self._apart(written.get(spelling, []))
            values = [value for value in under if value not in ("", None)]
            if values:
                return values
        return []

    def _apart(self, values: list[Any]) -> list[Any]:
        """A list in a body is many values only where many are taken."""
        if not self.many:
            return values
        return [one for each in values for one in (each if isinstance(each, list) else [each])]

    def word(self, value: Any) -> Any:
        return self.words.get(value.lower(), value) if isinstance(value, str) else value


@cache
def _fields(kind: type[Parameters]) -> tuple[_Field, ...]:
    return tuple(
        _Field(
            names[0],
            tuple(each.lower() for each in names),
            get_origin(field.annotation) is list,
            {word.lower(): word for word in _words(field.annotation)},
        )
        for field, names in (
            (field, _names(name, field)) for name, field in kind.model_fields.items()
        )
    )


@cache
def _documented(kind: type[Parameters]) -> tuple[str, ...]:
    return tuple(each for name, field in kind.model_fields.items() for each in _names(name, field))


def _words(annotation: Any) -> list[str]:
    """Of an enumeration or a Literal, optional or not."""
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return [each.value for each in annotation]
    if get_origin(annotation) is Literal:
        return [str(each) for each in get_args(annotation)]
    if get_origin(annotation) in (Union, UnionType):
        return [word for each in get_args(annotation) for word in _words(each)]
    return []


def _names(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias if isinstance(alias, str) else name]
