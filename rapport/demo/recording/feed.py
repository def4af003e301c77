"""Interactions in the form of the generic door, with the keys that bring comment and answer together."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rapport.demo.recording.cast import DemoAccount, DemoBrand
from rapport.demo.recording.people import Person

Body = dict[str, Any]

ELSEWHERE = frozenset({"purchase", "entry", "vote"})
"""What no platform tells of: a shop or a form does, through the generic door."""
OUTREACH = frozenset({"reaction", "share", "follow"})
"""What a brand does of this elsewhere is told by no platform that it comes from."""
IN_SECONDS = frozenset({"facebook", "instagram"})
"""Platforms that tell times in seconds."""
BY_PAIR = frozenset({"mastodon", "bluesky"})
"""Platforms that name the author of the parent. There a conversation is a pair, elsewhere it is the post."""


@dataclass(frozen=True)
class Fact:
    """One interaction, and when it happened."""

    at: datetime
    body: Body


@dataclass(frozen=True)
class Post:
    """A post of the brand; `draws` is how much of the audience's attention it gets."""

    id: str
    at: datetime
    draws: float


@dataclass(frozen=True)
class Said:
    """A comment, mention or message, as an answer needs to know it."""

    id: str
    at: datetime
    person: Person
    keys: dict[str, str]
    tone: str


def since(body: Body, at: datetime) -> bool:
    """Whether it happened since then."""
    return datetime.fromisoformat(body["occurred_at"]) >= at


def is_private(body: Body, account: DemoAccount) -> bool:
    """Whether it is a private message, or about one."""
    return "post" not in body and str(body.get("thread")).startswith(("messages:", f"{account.platform_id}:"))


class Feed:
    """Everything that happens on one account."""

    def __init__(
        self, brand: DemoBrand, account: DemoAccount, draw: random.Random, connected_at: datetime, host: str
    ) -> None:
        """`host` is the account's server, where its platform has several."""
        self._connected_at = connected_at
        self._host = f"@{host}" if account.platform_id and account.platform == "mastodon" else ""
        self.brand = brand
        self.account = account
        self.facts: list[Fact] = []
        self._draw = draw
        self._numbers = 0
        self._reacted: set[tuple[str, str]] = set()
        self._gone: set[str] = set()
        """Comments that nobody was told of before they were gone."""

    def new_id(self, what: str) -> str:
        """An id that is unique within the account."""
        self._numbers += 1
        drawn = self._draw.randrange(16**6)
        if self.account.platform_id is None or what == "order":
            return f"{self.account.id}/{what}/{self._numbers:05d}{drawn:06x}"
        number = f"1{self._numbers:07d}{drawn:08d}"
        if self.account.platform == "facebook" and what in ("post", "mention"):
            return f"{self.account.platform_id}_{number}"
        return f"{number}{self._host}"

    def person(self, id: str, handle: str, name: str) -> Person:
        """Somebody, by the id that the account's platform has for them."""
        if self._host and "@" not in handle:
            handle = f"{handle.replace('.', '_')}@toot.example"
        return Person(f"{id}{self._host}", handle, name)

    def reacts_first(self, person: Person, post: Post) -> bool:
        """Whether somebody has not reacted to a post before. Platforms know one reaction of each person."""
        fresh = (person.id, post.id) not in self._reacted
        self._reacted.add((person.id, post.id))
        return fresh or self.account.platform_id is None

    def add(self, kind: str, person: Person, at: datetime, id: str, **more: Any) -> Fact:
        """Adds an interaction, if anybody tells of it; fields that are None are left out."""
        if self.account.platform_id is not None and self.account.platform in IN_SECONDS:
            at = at.replace(microsecond=0)
        body: Body = {
            "id": id,
            "kind": kind,
            "actor": person.actor(),
            "occurred_at": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **{name: value for name, value in more.items() if value is not None},
        }
        fact = Fact(at, body)
        if self._is_told(fact, person):
            self.facts.append(fact)
        return fact

    def _is_told(self, fact: Fact, person: Person) -> bool:
        """Whether anybody tells of it. The door does of everything; a platform does not."""
        body, kind = fact.body, fact.body["kind"]
        if self.account.platform_id is None or kind in ELSEWHERE:
            return True
        outreach = kind in OUTREACH and person in self.brand.team
        if self.account.platform == "facebook":
            return kind != "follow" and not outreach
        if not since(body, self._connected_at):
            return True  # it was imported
        on_its_posts = kind == "post" or (kind in ("comment", "reply") and "post" in body)
        match self.account.platform:
            case "instagram":
                return on_its_posts or is_private(body, self.account)
            case "youtube":
                return on_its_posts and body.get("parent", {}).get("id") not in self._gone
        # A server that is asked does not tell what was taken back.
        return not (outreach or "undo" in body or kind in ("edit", "delete", "hide"))

    def _goes_unseen(self, said: Said) -> bool:
        """Somebody takes a comment away. Whether nobody asked while it was there: then it leaves no trace."""
        its = next((fact for fact in self.facts if fact.body["id"] == said.id), None)
        asked = self.account.platform == "youtube" and self.account.platform_id is not None
        if not asked or its is None or "post" not in its.body or not since(its.body, self._connected_at):
            return False
        self._gone.add(said.id)
        self.facts = [one for one in self.facts if one is not its and one.body.get("parent", {}).get("id") != said.id]
        return True

    def publish(self, at: datetime, text: str, media: list[str], draws: float) -> Post:
        """A post of the brand."""
        name = self.new_id("post")
        person = self._draw.choice(self.brand.team)
        if self.account.platform_id is not None and self.account.platform == "youtube":
            media = ["video"]
        self.add("post", person, at, name, object=self._object(name), text=text, media=media, language="en")
        return Post(name, at, draws)

    def comment(self, person: Person, post: Post, at: datetime, text: str, tone: str) -> Said:
        """A comment below a post."""
        return self._say("comment", person, at, text, tone, self._keys(person, post.id, post.id))

    def mention(self, person: Person, at: datetime, text: str) -> Said:
        """A post by someone else that mentions the brand, a thread of its own."""
        name = self.new_id("mention")
        return self._say("mention", person, at, text, "praise", self._keys(person, name, None), name)

    def message(self, person: Person, at: datetime, text: str) -> Said:
        """A private message; all of them with one account are one thread."""
        keys = {"conversation": f"{self.account.id}:{person.id}", "thread": f"messages:{self.account.id}"}
        if self._host:
            keys = dict.fromkeys(keys, self._pair(person))
        if self.account.platform_id is not None and self.account.platform == "instagram":
            keys = dict.fromkeys(keys, f"{self.account.platform_id}:{person.id}")
        return self._say("message", person, at, text, "question", keys)

    def _say(
        self,
        kind: str,
        person: Person,
        at: datetime,
        text: str,
        tone: str,
        keys: dict[str, str],
        given: str | None = None,
    ) -> Said:
        name = given or self.new_id(kind)
        self.add(kind, person, at, name, object=self._object(name), text=text, **keys)
        return Said(name, at, person, keys, tone)

    def reply(self, to: Said, at: datetime, text: str) -> Fact:
        """The brand's answer."""
        name = self.new_id("reply")
        person = self._draw.choice(self.brand.team)
        parent = {"id": to.id, "actor": to.person.id}
        return self.add("reply", person, at, name, object=self._object(name), parent=parent, text=text, **to.keys)

    def remove(self, said: Said, at: datetime) -> None:
        """The follower deletes it."""
        if self._goes_unseen(said):
            return
        self.add("delete", said.person, at, f"{said.id}#deleted", object={"id": said.id}, **said.keys)

    def hide(self, said: Said, at: datetime) -> None:
        """The brand hides it."""
        if self._goes_unseen(said):
            return
        self.add("hide", self.brand.team[0], at, f"{said.id}#hidden", object={"id": said.id}, **said.keys)

    def edit(self, said: Said, at: datetime, text: str) -> None:
        """The follower edits it."""
        self.add("edit", said.person, at, f"{said.id}#edited", object={"id": said.id}, text=text, **said.keys)

    def _keys(self, person: Person, thread: str, post: str | None) -> dict[str, str]:
        if self.account.platform in BY_PAIR:
            keys = {"conversation": self._pair(person), "thread": thread}
        else:
            keys = {"conversation": thread, "thread": thread}
        return keys if post is None else {**keys, "post": post}

    def _pair(self, person: Person) -> str:
        """As the connector names it, where there is one."""
        return f"{self.brand.id if self._host else self.account.id}:{person.id}"

    def _object(self, id: str) -> dict[str, str]:
        return {"id": id, "url": f"https://{self.account.platform}.example/{id}"}
