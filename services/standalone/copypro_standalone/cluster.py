"""`copypro topics`: the log's topics on a Kafka cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from copypro_standalone.arguments import fail

if TYPE_CHECKING:
    from copypro.settings import Settings

Answer = TypeVar("Answer")
app = typer.Typer(no_args_is_help=True, help="The topics on your Kafka cluster.")


@app.command()
def create() -> None:
    """Makes the topics that are missing; touches none that is there.

    Settings: KAFKA_BOOTSTRAP_SERVERS, COPYPRO_TOPIC_PREFIX, COPYPRO_PARTITIONS (16; never changes
    later), COPYPRO_REPLICATION (1; 3 where there are three brokers).
    """
    from copypro.wiring import create_topics

    made, partitions = asyncio.run(_kafka_or_fail(create_topics))
    for name in made:
        typer.echo(f"made {name}, {partitions} partitions")
    if not made:
        typer.echo("all topics are there already")


@app.command()
def check() -> None:
    """Says what differs from what must be; exit code 1 if anything does."""
    from copypro.wiring import check_topics

    differences = asyncio.run(_kafka_or_fail(check_topics))
    for line in differences:
        typer.echo(line)
    if differences:
        raise typer.Exit(1)
    typer.echo("all topics are as they must be")


async def _kafka_or_fail(work: Callable[[Settings], Awaitable[Answer]]) -> Answer:
    from copypro.errors import CopyProError, SettingsError
    from copypro.settings import load

    try:
        settings = load()
        if not settings.kafka:
            raise SettingsError("set KAFKA_BOOTSTRAP_SERVERS to your brokers, host:port,host:port")
        return await work(settings)
    except CopyProError as error:
        fail(error)
