"""An account that was removed and is added again: another generation under the same name."""

from __future__ import annotations

from copypro import messages as m
from copypro import topics
from copypro.values import Platform, RegistrationId, UserId
from copypro_standalone.backtest.virtual_time import run

from tests.unit.watched import ACCOUNT, LOGIN, REGISTRATION, SERVER, TRADES, watched


def test_an_account_that_is_added_again_tells_nothing_under_an_id_that_was_told() -> None:
    """A receiver of alerts takes a second one of the same id for the first one."""

    async def work() -> None:
        async with watched() as account:
            removal = m.RemoveAccount(
                account=ACCOUNT, registration=REGISTRATION, close_trades=False
            )
            await account.command(removal)
            await account.until(lambda: account.told(m.AccountRemoved))
            again = m.RegisterAccount(
                account=ACCOUNT,
                registration=RegistrationId("c" * 32),
                user=UserId("u"),
                platform=Platform.MT5,
                server=SERVER,
                login=LOGIN,
                name="again",
                sealed_password=TRADES,
            )
            await account.command(again)
            await account.until(lambda: len(account.told(m.AccountConnected)) == 2)
            told = account.log.all(topics.ORDER_EVENTS.name)
            ids = [record.headers["id"] for record in told]
            assert len(set(ids)) == len(ids)

    run(work())
