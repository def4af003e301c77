"""How long each string of an interaction may be, and what becomes of one that is longer.

What people only look at is cut, an address that is too long is left out (half of one leads nowhere), and an id that is
too long is refused: cut, it would name something else. The generic door refuses all of them by name, because its
sender can do something about it; a connector's cannot.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, structs

from rapport.contracts.events import Actor, Interaction

LONGEST_ID = 512
LONGEST_HANDLE = 256
"""A domain name has 253 characters at most; Bluesky's handles are such."""
LONGEST_NAME = 640
"""What Bluesky allows, in bytes; the others have less."""
LONGEST_URL = 2_048
LONGEST_TEXT = 100_000
"""The longest post there is has 63,206 characters, on Facebook."""
LONGEST_LANGUAGE = 64
LONGEST_WORD = 128
"""A reaction, which can be the name of an emoji; a currency; the id of a campaign."""
MOST_MEDIA = 100
MOST_LINKS = 20

Reference: TypeAlias = Annotated[str, Meta(max_length=LONGEST_ID)]
Handle: TypeAlias = Annotated[str, Meta(max_length=LONGEST_HANDLE)]
Name: TypeAlias = Annotated[str, Meta(max_length=LONGEST_NAME)]
Url: TypeAlias = Annotated[str, Meta(max_length=LONGEST_URL)]
Words: TypeAlias = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Language: TypeAlias = Annotated[str, Meta(max_length=LONGEST_LANGUAGE)]
Word: TypeAlias = Annotated[str, Meta(max_length=LONGEST_WORD)]


class UnfitError(ValueError):
    """An id that is longer than any can be."""


def cut(text: str | None, longest: int) -> str | None:
    """The beginning of a text."""
    return text if text is None or len(text) <= longest else f"{text[: longest - 1]}…"


def kept_url(url: str | None) -> str | None:
    """An address, unless it is too long to be kept."""
    return url if url is None or len(url) <= LONGEST_URL else None


def fit_actor(actor: Actor) -> Actor:
    """Somebody with what is shown of them in bounds."""
    return structs.replace(
        actor,
        handle=cut(actor.handle, LONGEST_HANDLE),
        name=cut(actor.name, LONGEST_NAME),
        avatar_url=kept_url(actor.avatar_url),
        url=kept_url(actor.url),
        links=tuple(link for link in actor.links if kept_url(link))[:MOST_LINKS],
    )


def fit(interaction: Interaction) -> Interaction:
    """An interaction in bounds: the same where it is in them already. Raises UnfitError for an id that is too long."""
    its, parent = interaction, interaction.parent
    for what, id in (  # noqa: A001
        ("its id", its.id),
        ("the actor's id", its.actor.id),
        ("the object's id", its.object.id),
        ("the parent's id", parent.id if parent else None),
        ("the id of the parent's author", parent.actor if parent else None),
        ("the conversation", its.conversation),
        ("the thread", its.thread),
        ("the post", its.post),
        ("the campaign", its.campaign),
    ):
        if id is not None and len(id) > LONGEST_ID:
            raise UnfitError(f"{what} has {len(id)} characters; at most {LONGEST_ID} can be taken")
    return shortened(its)


def shortened(interaction: Interaction) -> Interaction:
    """An interaction of the log, which may be from before there were bounds: as `fit`, with ids as they are.

    A parent's author whose id is too long is nobody.
    """
    its, parent = interaction, interaction.parent
    if parent is not None and len(parent.actor or "") > LONGEST_ID:
        parent = structs.replace(parent, actor=None)
    return structs.replace(
        its,
        parent=parent,
        actor=fit_actor(its.actor),
        object=structs.replace(its.object, url=kept_url(its.object.url)),
        text=cut(its.text, LONGEST_TEXT),
        media=its.media[:MOST_MEDIA],
        language=its.language if its.language is None or len(its.language) <= LONGEST_LANGUAGE else None,
        reaction=cut(its.reaction, LONGEST_WORD),
        currency=cut(its.currency, LONGEST_WORD),
    )
