"""What the sources say of their classes, fields and constants: the text behind each, read once."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from types import ModuleType
from typing import Any

from copypro import messages, options, topics, trading, values

MODULES: tuple[ModuleType, ...] = (messages, options, topics, trading, values)


def of(name: str) -> str:
    """Of a class or constant by its name; empty where there is none."""
    return _texts().get(name, "")


def of_field(kind: type, field: str) -> str:
    """Of a field, or of the value of an enumeration; from the class that declares it."""
    for base in kind.__mro__:
        text = _texts().get(f"{base.__name__}.{field}", "")
        if text:
            return text
    return ""


@cache
def _texts() -> dict[str, str]:
    found: dict[str, str] = {}
    for module in MODULES:
        _collect(ast.parse(inspect.getsource(module)).body, "", found)
    return found


def _collect(body: list[ast.stmt], prefix: str, found: dict[str, str]) -> None:
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.ClassDef):
            found[f"{prefix}{statement.name}"] = one_paragraph(ast.get_docstring(statement))
            _collect(statement.body, f"{statement.name}.", found)
        elif (name := _assigned(statement)) and (text := _text(following)):
            found[f"{prefix}{name}"] = one_paragraph(text)


def _assigned(statement: ast.stmt) -> str:
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""


def _text(statement: Any) -> str | None:
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return text
    return None


def one_paragraph(text: str | None) -> str:
    """Lines joined; an empty line stays a break between two sentences."""
    return re.sub(r"\s+", " ", text or "").strip()
