"""One MongoDB database of one installation: opened, checked, its failures told in our words.

Everything is written with majority and read as the majority has it, so nothing that was told or
shown is ever rolled back. No message of these carries more of the address than hosts and database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import pymongo
from bson.binary import Binary
from bson.codec_options import TypeDecoder, TypeRegistry
from bson.int64 import Int64
from msgspec import Struct
from pymongo import AsyncMongoClient, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from copypro.errors import SettingsError, StoreError, StoreRefused, StoreUnavailable
from copypro.ports import NewId

DATABASE = "copypro"
"""Where the address names none."""
SCHEMA = 1
ABOUT = "copypro"
"""The collection that says what this database is."""
INSTALLATION = "installation"
OLDEST_WIRE_VERSION = 17
"""MongoDB 6.0: sorts arrays within an update, and leaves dots and dollars in names alone."""
Stored = dict[str, Any]
Session = AsyncClientSession
Answer = TypeVar("Answer")


class MongoLimits(Struct, frozen=True, kw_only=True):
    select_s: float = 5.0
    """The first answer of a server."""
    read_s: float = 10.0
    """A read or a write of one thing. A rebuild drops the former documents so long after it switched."""
    write_s: float = 20.0
    """A transaction, with all the tries that the driver makes."""
    index_s: float = 3600.0
    """Making an index on documents that are there already."""
    drop_s: float = 600.0
    """Dropping one collection, which waits for what a busy server has under way."""
    held_s: float = 30.0
    """How long a rebuild may hold the writers while it switches."""
    close_s: float = 1.0
    """Telling a server that we are gone."""


class MongoDatabase:
    """Shared by the adapters of one process; who opened it closes it."""

    def __init__(self, client: AsyncMongoClient[Stored], place: str, limits: MongoLimits) -> None:
        self._client, self._place, self.limits = client, place, limits
        self._database = client.get_default_database(default=DATABASE)
        self.installation_id = ""

    @classmethod
    async def open(
        cls,
        url: str,
        new_id: NewId,
        installation: str | None = None,
        limits: MongoLimits | None = None,
    ) -> MongoDatabase:
        """`installation`: the log's id, where it has one; a new database takes it.

        Errors: SettingsError (not an address), StoreUnavailable, StoreRefused (wrong credentials, no
        replica set, another program's or installation's data, written by a newer version).
        """
        database = _connected(url, limits or MongoLimits())
        try:
            await database._check_server()
            await database._claim(new_id, installation)
        except BaseException:
            await database.close()
            raise
        return database

    @classmethod
    async def open_existing(cls, url: str, limits: MongoLimits | None = None) -> MongoDatabase:
        """Beside the running program; makes nothing. Errors: as `open`, also for an empty one."""
        database = _connected(url, limits or MongoLimits())
        try:
            await database._check_server()
            await database._recognise()
        except BaseException:
            await database.close()
            raise
        return database

    @property
    def about(self) -> AsyncCollection[Stored]:
        return self._database[ABOUT]

    def collection(self, name: str) -> AsyncCollection[Stored]:
        return self._database[name]

    def snapshots(self, name: str) -> AsyncCollection[Stored]:
        """Each command on it sees one moment of what the majority has."""
        return self._database.get_collection(name, read_concern=ReadConcern("snapshot"))

    async def names(self) -> list[str]:
        with self.asking():
            return await self._database.list_collection_names()

    async def transaction(self, body: Callable[[Session], Awaitable[Answer]]) -> Answer:
        """All of it or nothing, durable at a majority on return; `body` may run more than once."""
        async with self._client.start_session() as session:
            try:
                with self.asking(self.limits.write_s):
                    return await session.with_transaction(
                        body,
                        read_concern=ReadConcern("snapshot"),
                        write_concern=WriteConcern("majority"),
                    )
            except StoreUnavailable:
                await self._abandon(session)
                raise

    async def _abandon(self, session: Session) -> None:
        """No time was left to abort it, and what it touched would be in everybody's way until the
        server gives it up by itself, after a minute. A server that does not answer has nothing open.
        """
        with suppress(PyMongoError), pymongo.timeout(self.limits.select_s):
            await self._client.admin.command({"killSessions": [session.session_id]})

    @contextmanager
    def asking(self, within_s: float | None = None) -> Iterator[None]:
        """One call of ours. Errors: StoreUnavailable, StoreRefused."""
        try:
            with _hearing_cancels(), pymongo.timeout(within_s or self.limits.read_s):
                yield
        except PyMongoError as error:
            raise _in_our_words(error, self._place) from None

    async def close(self) -> None:
        """A server that does not answer is not waited for: it ends its sessions by itself."""
        with pymongo.timeout(self.limits.close_s):
            await self._client.close()

    # --- what this database is ------------------------------------------------------------------

    async def _check_server(self) -> None:
        with self.asking(self.limits.select_s):
            hello = await self._client.admin.command("hello")
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise StoreRefused(
                f"MongoDB at {self._place} is not a replica set, so it has no transactions: start"
                " mongod with --replSet copypro and run rs.initiate() once (one member is enough)"
            )
        if hello["maxWireVersion"] < OLDEST_WIRE_VERSION:
            raise StoreRefused(f"MongoDB at {self._place} is older than 6.0: upgrade it")

    async def _claim(self, new_id: NewId, installation: str | None) -> None:
        """What is there is looked at first: another process may be making it right now, and it says
        whose it is before it makes the rest.
        """
        is_theirs = await self._holds_anything()
        if await self._installation() is None:
            if is_theirs:
                raise StoreRefused(
                    f"{self._place} holds data of another program: nothing was changed in it;"
                    " name a database of its own, as in MongoDB=mongodb://host:27017/copypro"
                )
            first = {"installation": installation or new_id(), "schema": SCHEMA}
            await self.agreed(INSTALLATION, first)
        await self._recognise()
        if installation is not None and installation != self.installation_id:
            raise StoreRefused(
                f"{self._place} belongs to installation {self.installation_id}, the log to"
                f" {installation}: two installations are mixed up; check MongoDB and"
                " KAFKA_BOOTSTRAP_SERVERS"
            )

    async def _recognise(self) -> None:
        found = await self._installation()
        if found is None or "schema" not in found:
            raise StoreRefused(f"{self._place} holds no data of CopyPro: check MongoDB")
        if found["schema"] > SCHEMA:
            raise StoreRefused(
                f"{self._place} was written by a newer version ({found['schema']}): upgrade this one"
            )
        self.installation_id = str(found["installation"])

    async def _holds_anything(self) -> bool:
        """An empty `about` is nothing: MongoDB makes a collection before its first document, and a
        process may be seen, or end, between the two.
        """
        names = {name for name in await self.names() if not name.startswith("system.")}
        if names != {ABOUT}:
            return bool(names)
        with self.asking():
            return await self.about.find_one() is not None

    async def _installation(self) -> Stored | None:
        with self.asking():
            return await self.about.find_one({"_id": INSTALLATION})

    async def agreed(self, id_: str, first: Mapping[str, Any]) -> Stored:
        """The document of that id in `about`, made from `first` where there is none: of several
        processes that ask at once, each is given the same.
        """
        with self.asking():
            try:
                found = await self.about.find_one_and_update(
                    {"_id": id_},
                    {"$setOnInsert": dict(first)},
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
            except DuplicateKeyError:
                found = await self.about.find_one({"_id": id_})
        assert found is not None
        return found


# --- the driver --------------------------------------------------------------------------------


class _PlainInteger(TypeDecoder):
    bson_type = Int64

    def transform_bson(self, value: Any) -> int:
        return int(value)


class _Json(TypeDecoder):
    """What BSON cannot hold as it is, is kept as JSON (see mongo_documents)."""

    bson_type = Binary

    def transform_bson(self, value: Any) -> Any:
        return msgspec.json.decode(value)


@contextmanager
def _hearing_cancels() -> Iterator[None]:
    """Who is cancelled meanwhile is told so. The driver waits by `asyncio.wait_for`, which before
    Python 3.12 forgets it when the answer comes in the same moment (CPython issue 86296): the task
    would go on for ever, and whoever ended it would wait for it.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError


def _connected(url: str, limits: MongoLimits) -> MongoDatabase:
    place = urlsplit(url).netloc.rpartition("@")[2]
    try:
        client: AsyncMongoClient[Stored] = AsyncMongoClient(
            url,
            w="majority",
            readConcernLevel="majority",
            type_registry=TypeRegistry([_PlainInteger(), _Json()]),
            appname="copypro",
        )
        database = MongoDatabase(client, place, limits)
    except (PyMongoError, ValueError, TypeError) as error:
        raise SettingsError(
            "MongoDB: must be an address like mongodb://host:27017/copypro; name and password in it"
            f" percent-encoded ({type(error).__name__})"
        ) from None
    database._place = f"{place}/{database._database.name}"
    return database


_WRONG_LOGIN = frozenset((18, 8000))
_NOT_ALLOWED = frozenset((13,))
_TOO_LARGE = frozenset((10334, 17419, 17420))
_LATER = frozenset(
    (50, 91, 112, 175, 189, 246, 251, 262, 290, 11600, 11602, 13388, 14031, 225, 216)
)
"""Timed out, shutting down, conflicts, elections, a full disk: it may go well later."""


def _in_our_words(error: PyMongoError, place: str) -> StoreError:
    """Never the driver's own text as a whole: it may quote keys and values."""
    code = error.code if isinstance(error, OperationFailure) else None
    if code in _WRONG_LOGIN:
        return StoreRefused(f"{place} refused the user name or password: check MongoDB")
    if code in _NOT_ALLOWED:
        return StoreRefused(f"{place}: the user may not do this; it needs the role readWrite there")
    if code in _TOO_LARGE or isinstance(error, DocumentTooLarge):
        return StoreRefused(f"{place}: a document is larger than MongoDB's 16 MB")
    is_passing = isinstance(error, ConnectionFailure | WaitQueueTimeoutError) or error.timeout
    if is_passing or code in _LATER or error.has_error_label("TransientTransactionError"):
        return StoreUnavailable(f"MongoDB at {place} does not answer now ({_brief(error)})")
    return StoreRefused(f"MongoDB at {place} refused ({_brief(error)})")


def _brief(error: PyMongoError) -> str:
    if isinstance(error, OperationFailure):
        name = (error.details or {}).get("codeName") or type(error).__name__
        return f"{name}, code {error.code}"
    if isinstance(error, ConnectionFailure):
        return str(error).partition(" (configured timeouts")[0][:200]
    return type(error).__name__
