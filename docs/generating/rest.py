"""docs/openapi.json and docs/errors.md: what the gateway says of itself, and its codes."""

from __future__ import annotations

import json
from typing import Any

from copypro.codes import CODES
from copypro.values import Platform
from copypro_gateway.api import create_app
from copypro_gateway.core import GatewaySettings
from copypro_gateway.wording.call_codes import CALL_CODES
from fastapi import FastAPI


def application() -> FastAPI:
    """One that nobody calls: it needs nothing to say what it would answer."""
    nothing: Any = None
    return create_app(
        log=nothing,
        history=nothing,
        read_models=nothing,
        users=nothing,
        vault=nothing,
        repeats=nothing,
        clock=nothing,
        new_id=nothing,
        settings=GatewaySettings(platforms=frozenset(Platform)),
        meter=nothing,
        post=nothing,
    )


def openapi() -> dict[str, Any]:
    return application().openapi()


def openapi_as_text() -> str:
    return json.dumps(openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def errors() -> str:
    calls = "\n".join(
        f"| {code} | {status} | {meaning} | {remedy} |"
        for code, (status, meaning, remedy) in CALL_CODES.items()
    )
    trades = "\n".join(
        f"| {code} | {meaning} | {remedy} |" for code, (meaning, remedy) in CODES.items()
    )
    return f"""# Every code
Made by `make docs` from the tables that the program itself uses.

## Why a call was refused
The answer is `{{"code", "message"}}`; the message names the field and the fix.

| code | status | means | what helps |
|---|---|---|---|
{calls}

## Why a trade was not copied
`exceptionCode` of TradeLogs, with the numbers behind it in `messages`.

| code | means | what would let it pass |
|---|---|---|
{trades}
"""
