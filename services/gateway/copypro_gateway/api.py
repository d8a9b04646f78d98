"""The REST edge: every subject's calls in one application."""

from __future__ import annotations

from copypro.ports import (
    Clock,
    EventLog,
    LogHistory,
    Mail,
    Meter,
    NewId,
    Post,
    ReadModels,
    Repeats,
    Users,
    Vault,
)
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from copypro_gateway.calls import CallRoute, Calls
from copypro_gateway.core import Core, GatewaySettings
from copypro_gateway.entry.any_case import AnyCase
from copypro_gateway.entry.audit import AuditTrail
from copypro_gateway.entry.auth import Auth
from copypro_gateway.entry.gate import Gate
from copypro_gateway.entry.guard import Guard
from copypro_gateway.entry.measuring import Measured
from copypro_gateway.entry.repeating import Repeating
from copypro_gateway.entry.safety import DEFAULTS, Safety
from copypro_gateway.statistics import TradeStats
from copypro_gateway.subjects.about import About
from copypro_gateway.subjects.account_settings import AccountSettings
from copypro_gateway.subjects.accounts import Accounts
from copypro_gateway.subjects.attention import Attention
from copypro_gateway.subjects.callbacks import Callbacks
from copypro_gateway.subjects.commands import Commands
from copypro_gateway.subjects.copiers import Copiers
from copypro_gateway.subjects.dead_letters import DeadLetters
from copypro_gateway.subjects.failed_calls import FailedCalls
from copypro_gateway.subjects.importing import Importing
from copypro_gateway.subjects.keys import Keys
from copypro_gateway.subjects.logs import CopierLogs
from copypro_gateway.subjects.managing import Managing
from copypro_gateway.subjects.orders import Orders
from copypro_gateway.subjects.passwords import Passwords
from copypro_gateway.subjects.protection import Protection
from copypro_gateway.subjects.quality import Quality
from copypro_gateway.subjects.summaries import Summaries
from copypro_gateway.subjects.symbols import Symbols
from copypro_gateway.subjects.users import SigningUp
from copypro_gateway.trying import add_documentation
from copypro_gateway.wording.failures import Failures
from copypro_gateway.wording.pages import NEXT_TO

ABOUT = (
    "Each call is a GET with query parameters and a POST with a JSON body of the same names. SignUp"
    " and SignIn answer a userKey: the other calls take it as `Authorization: Bearer`."
)


def create_app(
    *,
    log: EventLog,
    history: LogHistory,
    read_models: ReadModels,
    users: Users,
    vault: Vault,
    repeats: Repeats,
    clock: Clock,
    new_id: NewId,
    settings: GatewaySettings,
    meter: Meter,
    post: Post,
    safety: Safety = DEFAULTS,
    mail: Mail | None = None,
    banner: str = "",
) -> FastAPI:
    """`banner`: shown in the API's description, such as SIMULATED."""
    told = "\n\n".join(filter(None, (banner, ABOUT)))
    app = FastAPI(
        title="CopyPro", description=told, openapi_url=None, docs_url=None, redoc_url=None
    )
    auth = Auth(users, clock, new_id, safety.sign_ups, safety.guesses)
    gate = Gate(auth, AuditTrail(log, clock, new_id), safety, settings.operator_key_hash)
    core = Core(log, read_models, vault, clock, new_id, settings)
    accounts = Accounts(core)
    failures = Failures(settings.errors_as_201)
    calls = Calls(app, gate, settings, Repeating(repeats, clock, failures.answer))
    SigningUp(auth).register(calls)
    Keys(auth).register(calls)
    Passwords(auth, users, mail, settings.reset_url, clock).register(calls)
    accounts.register(calls)
    stats = TradeStats(read_models, clock)
    Summaries(core, accounts, stats).register(calls)
    AccountSettings(core).register(calls)
    Orders(core, stats).register(calls)
    Quality(core).register(calls)
    copiers, logs = Copiers(core, accounts), CopierLogs(core)
    copiers.register(calls)
    protection = Protection(core)
    protection.register(calls)
    Callbacks(core, protection, post).register(calls)
    Symbols(core).register(calls)
    logs.register(calls)
    Attention(core).register(calls)
    DeadLetters(log, history, clock).register(calls)
    Managing(core, users, accounts, copiers, logs).register(calls)
    FailedCalls(history, read_models).register(calls)
    About(core).register(calls, app)
    Importing(core, accounts).register(calls, app, gate)
    Commands(core).register(calls, app, gate)
    add_documentation(app)
    failures.add_to(app)
    if safety.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=safety.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
            expose_headers=["Retry-After", "Idempotency-Replayed", NEXT_TO],
        )
    app.add_middleware(Guard, safety=safety)
    app.add_middleware(Measured, meter=meter)
    routes = [route for route in app.routes if isinstance(route, Route)]
    app.add_middleware(
        AnyCase,
        calls=[route.path for route in routes if isinstance(route, CallRoute)],
        pages=[route.path for route in routes if not isinstance(route, CallRoute)],
    )
    return app
