"""`rapport topics`: the catalogue's topics on a broker."""

from typing import Annotated

import typer

from rapport.commands.options import Json, fail, print_json


def topics(
    kafka: Annotated[str, typer.Option(envvar="RAPPORT_KAFKA", help="Bootstrap servers, separated by commas.")],
    replication: Annotated[int, typer.Option(min=1, help="Replicas of each new topic.")],
    as_json: Json = False,
) -> None:
    """Create the topics of the catalogue that the broker lacks, and raise settings that keep too little."""
    import logging

    from kafka.errors import KafkaError

    from rapport.contracts.topics import CATALOGUE
    from rapport.kit.broker.kafka_topics import create_topics, raise_settings, shortfalls

    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        made = create_topics(kafka, replication, CATALOGUE)
        changed = raise_settings(kafka, CATALOGUE)
        short = shortfalls(kafka, CATALOGUE)
    except (KafkaError, OSError) as error:
        fail(f"the topics could not be created on {kafka}: {type(error).__name__}: {error}")
    if as_json:
        print_json({"made": made, "set": changed, "short": short})
        return
    typer.echo("\n".join(made) or "all topics exist already")
    for name in changed:
        typer.echo(f"{name}: settings raised")
    for each in short:
        typer.echo(f"still less than promised: {each}", err=True)
