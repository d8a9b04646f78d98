"""The REST edge: every subject's calls in one application."""

from __future__ import annotations

from typing import Any

from copypro.ports import Clock, EventLog, LogHistory, Meter, NewId, ReadModels, Users, Vault
from fastapi import FastAPI

from copypro_gateway.accounts import Accounts
from copypro_gateway.attention import Attention
from copypro_gateway.auth import Auth
from copypro_gateway.calls import Calls
from copypro_gateway.copiers import Copiers
from copypro_gateway.core import Core, GatewaySettings
from copypro_gateway.failures import add_failures
from copypro_gateway.importing import Importing
from copypro_gateway.letters import Letters
from copypro_gateway.logs import CopierLogs
from copypro_gateway.measuring import Measured
from copypro_gateway.orders import Orders
from copypro_gateway.quality import Quality
from copypro_gateway.symbols import Symbols
from copypro_gateway.users import SigningUp


def create_app(
    *,
    log: EventLog,
    history: LogHistory,
    read_models: ReadModels,
    users: Users,
    vault: Vault,
    clock: Clock,
    new_id: NewId,
    settings: GatewaySettings,
    meter: Meter,
    banner: str = "",
) -> FastAPI:
    """`banner`: shown in the API's description, such as SIMULATED."""
    app = FastAPI(title="CopyPro", description=banner, docs_url=None, redoc_url=None)
    auth = Auth(users, clock, new_id)
    core = Core(log, read_models, vault, clock, new_id, settings)
    accounts = Accounts(core)
    calls = Calls(app, auth, settings)
    SigningUp(auth, settings).register(calls)
    accounts.register(calls)
    Orders(core).register(calls)
    Quality(core).register(calls)
    Copiers(core, accounts).register(calls)
    Symbols(core).register(calls)
    CopierLogs(core).register(calls)
    Attention(core).register(calls)
    Letters(log, history, clock).register(calls)
    Importing(core, accounts).register(app, auth)
    add_failures(app)
    app.add_middleware(Measured, meter=meter)

    @app.get("/Commands/{command}", tags=["commands"])
    async def command(command: str) -> Any:
        """What became of a call that answered 202."""
        return await core.command_status(command)

    return app
