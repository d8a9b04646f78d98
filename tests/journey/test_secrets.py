"""No secret in any log line, answer or file, whatever goes wrong: each is a canary that is looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from copypro_gateway.entry.scopes import RULES

from tests.journey.commands import copypro
from tests.journey.receiver import a_receiver
from tests.journey.world import EMBEDDED, OPERATOR, Account, Stack, World

pytestmark = pytest.mark.slow


@pytest.fixture
def stack() -> Stack:
    """The files of the data folder are looked into."""
    return EMBEDDED


RIGHT = "c4n4ry-r1ght &/pass"
WRONG = "c4n4ry-wr0ng%pass"
LATER = "c4n4ry-l4ter+pass"
HASH = "c4n4ryh4sh" * 4


class Heard:
    """Everything that a caller was answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.answers: list[str] = []

    async def call(self, name: str, /, *, by: str = "POST", **fields: Any) -> Any:
        world = self._world
        headers = {"Authorization": f"Bearer {world.key}"} if world.key else {}
        how: dict[str, Any] = {"json": fields} if by == "POST" else {"params": fields}
        async with world.http.request(by, f"/{name}", headers=headers, **how) as response:
            self.answers.append(await response.text())
            is_json = response.content_type == "application/json"
            return await response.json() if is_json else None


async def test_no_secret_is_in_logs_answers_or_files(
    world: World, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    heard = Heard(world)
    async with a_receiver() as receiver:
        receiver.statuses = [500]
        await world.stop()
        await world.start(alert_url=receiver.url)
        world.key = ""
        signed = await heard.call("SignUp", email="s@example.com", passwordHash=HASH)
        heard.answers.clear()  # the one answer that is a key
        world.key = str(signed["userKey"])
        master, slave = await two_accounts(world, heard)
        await unreadable_answers(world, heard)
        await copied(world, heard, master, slave)
        await refused_later(world, heard, slave)
        await down_and_alerted(world, heard)

        async def posted() -> bool:
            return bool(receiver.taken)

        await world.eventually(posted)
        heard.answers += [str(body) for body in receiver.tries]
    await asked_for_everything(heard, master, slave)
    await said_of_itself(world, heard, tmp_path)
    await world.stop()
    said = "".join(capfd.readouterr())
    assert "INVALID_ACCOUNT" in said
    assert "UNREACHABLE" in said
    for secret in (RIGHT, WRONG, LATER, HASH, world.key, OPERATOR, "c4n4ry"):
        assert secret not in said
        assert not [answer for answer in heard.answers if secret in answer]
        for path in files(world.data):
            assert secret.encode() not in path.read_bytes(), path.name


def files(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert {"log.db", "vault.db", "users.db", "read-models.db"} <= {path.name for path in found}
    return found


async def two_accounts(world: World, heard: Heard) -> tuple[Account, Account]:
    made = []
    for server, login in (("Alpha-MT4", 1001), ("Beta-MT5", 2001)):
        await world.control.add_account(
            server=server, platform=server[-3:], login=login, password=RIGHT, balance="10000"
        )
        fields = {"type": server[-3:], "user": login, "server": server}
        wrong = await heard.call("AddAccount", by="GET", password=WRONG, **fields)
        account = Account(world, server, login, wrong["accountId"])
        await shows(world, heard, account, "INVALID_ACCOUNT")
        await heard.call("AddAccount", password=RIGHT, **fields)
        await world.eventually(lambda known=account: world.is_connected(known))  # type: ignore[misc]
        made.append(account)
    return made[0], made[1]


async def shows(world: World, heard: Heard, account: Account, code: str) -> None:
    async def shown() -> bool:
        found = [a for a in await heard.call("Accounts") if a["id"] == account.id]
        return bool(found) and (found[0]["connectError"] or {}).get("code") == code

    await world.eventually(shown)


async def unreadable_answers(world: World, heard: Heard) -> None:
    """A bridge that answers with what it was sent, in forms that nobody can read."""
    for number, body in enumerate(
        (
            f"cannot log in with {RIGHT}",
            f'{{"code": "ODD_{RIGHT}", "message": "password {RIGHT} is odd"}}',
            f'{{"message": "GET /ConnectEx?user=3&password={RIGHT} failed"',
        )
    ):
        await world.control.script("MT5", endpoint="ConnectEx", body=body, status=200)
        await heard.call(
            "AddAccount", type="MT5", user=3 + number, password=RIGHT, server="Beta-MT5"
        )

        async def said(count: int = number + 1) -> bool:
            errors = [a["connectError"] for a in await heard.call("Accounts")]
            return len([error for error in errors if error]) >= count

        await world.eventually(said)
        await world.control.clear_scripts()


async def copied(world: World, heard: Heard, master: Account, slave: Account) -> None:
    started = await heard.call("Start", masterAccountId=master.id, slaveAccountId=slave.id)
    body = f'{{"ticket": "{RIGHT}"}}'
    await world.control.script("MT5", endpoint="OrderSend", execute=True, body=body, status=200)
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)

    async def told() -> bool:
        return len(await heard.call("TradeLogs", id=started["copierId"])) > 0

    await world.eventually(told)


async def refused_later(world: World, heard: Heard, slave: Account) -> None:
    await world.control.set_account(slave.server, slave.login, password=LATER)
    await world.control.forget_sessions("MT5")
    await shows(world, heard, slave, "INVALID_ACCOUNT")
    await heard.call(
        "AddAccount", type="MT5", user=slave.login, password=LATER, server=slave.server
    )
    await world.eventually(lambda: world.is_connected(slave))


async def down_and_alerted(world: World, heard: Heard) -> None:
    await world.control.bridge("MT5", down=True)

    async def stale() -> bool:
        return any(
            (a["connectError"] or {}).get("code") == "UNREACHABLE"
            for a in await heard.call("Accounts")
        )

    await world.eventually(stale)


async def asked_for_everything(heard: Heard, master: Account, slave: Account) -> None:
    """Every call that only looks, by whatever id it takes; then what has a secret in it and is refused."""
    copiers = [copier["id"] for copier in await heard.call("UserCopiers")]
    looks = [name for name, rule in RULES.items() if not rule.audited and name != "Commands"]
    for name in looks:
        await heard.call(name, by="GET")
        for account in (master, slave):
            await heard.call(name, accountId=account.id)
        for copier in copiers:
            await heard.call(name, id=copier)
    made = await heard.call("AddKey", name="to be removed")
    heard.answers.pop()  # the one answer that is a key
    await heard.call("RemoveKey", id=made["id"])
    await heard.call("SignIn", email="s@example.com", passwordHash=WRONG)
    await heard.call("SignUpNonHashed", email="s@example.com", password=WRONG)
    await heard.call("Headers", by="GET", userKey=WRONG, password=WRONG)
    await heard.call("Accounts", by="GET", userKey=WRONG)
    await heard.call("ChangePassword", accountId=slave.id, newPassword=LATER)
    await heard.call("AddAccount", type="MT9", user=1, password=WRONG, server="x")
    await heard.call("AddAccount", type="MT5", user=WRONG, password=WRONG, server="")


async def said_of_itself(world: World, heard: Heard, folder: Path) -> None:
    """What needs no key, and the exported audit trail."""
    for path in ("/metrics", "/health/ready", "/openapi.json", "/ReadMe", "/docs"):
        async with world.http.get(path) as response:
            assert response.status in (200, 503), path
            heard.answers.append(await response.text())
    code, text = await copypro(world, "audit", "export", str(folder / "audit.jsonl"))
    assert code == 0, text
    trail = (folder / "audit.jsonl").read_text()
    for call in ("AddAccount", "SignUp", "SignIn", "AddKey", "ChangePassword", "Start"):
        assert f'"call":"{call}"' in trail
    heard.answers += [text, trail]
