"""Years of anything at any distance: the rows that left make no difference, and what is counted can be counted by hand.

Two models. One is the product without the leaving of rows; the other counts from what happened, and shares no line with
it. What is told twice is told twice within 90 days, which is what is promised.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from hypothesis import given, settings, target
from hypothesis import strategies as st
from msgspec import structs

from rapport.contracts.controls import PolicyRule
from rapport.contracts.events import Interaction, Kind, Parent
from rapport.contracts.rows import FOLLOWER, parts_of
from tests.services.scorer.ages import Ages, nothing_leaves
from tests.services.scorer.story import DAY, HOUR, T0, interaction

WORDS, TOGGLES = ("comment", "message"), ("follow", "reaction", "share", "vote")
FOLLOWERS = ("ada", "bob")


@dataclass
class Told:
    """One thing that happened, `at` its time."""

    what: str
    id: str
    of: str
    who: str
    at: int
    again: int | None = None
    """So long after, it is told once more."""

    def event(self) -> Interaction:
        """What a platform would send."""
        more: dict[str, Any] = {"follower": self.who}
        kind = self.what
        if self.what == "undo":
            kind, more["undo"] = _kind(self.of), True
        if kind == "message":
            more["thread"] = f"chat-{self.who}"
        if kind == "reply":
            more["parent"], more["thread"] = self.of, None
            made = interaction("reply", self.id, self.at, **more)
            # As where a platform names no author of the parent.
            return structs.replace(made, parent=Parent(self.of))
        if kind == "reaction":
            more["parent"] = self.of.partition("!")[0]
        of = self.id if kind in (*WORDS, "reply") or (kind in TOGGLES and self.what != "undo") else self.of
        return interaction(cast(Kind, kind), self.id, self.at, **{**more, "of": of})


def _kind(id: str) -> str:
    return id.partition("-")[0].rpartition("!")[2]


@st.composite
def years(draw: st.DrawFn) -> list[Told]:
    """Up to 16 things over up to some years, in order; each is about something from before, or new."""
    found: list[Told] = []
    at = T0
    for number in range(draw(st.integers(1, 16))):
        at += draw(st.sampled_from([HOUR, 5 * DAY, 40 * DAY, 89 * DAY, 91 * DAY, 100 * DAY, 420 * DAY]))
        at += draw(st.integers(0, 3)) * HOUR + 1
        who = draw(st.sampled_from(FOLLOWERS))
        said = [each for each in found if each.what in WORDS]
        done = [each for each in found if each.what in TOGGLES]
        gone = {each.of for each in found if each.what in ("delete", "undo")}
        kinds = [*WORDS, *WORDS, *TOGGLES]
        standing = [each for each in (*said, *[each for each in found if each.what == "reply"]) if each.id not in gone]
        if standing:
            kinds += ["delete", "hide", "unhide"]
        if said:
            kinds += ["reply", "reply", "reply"]
        if left := [each for each in done if each.id not in gone]:
            kinds += ["undo", "undo", "undo"]
        what = draw(st.sampled_from(kinds))
        again = draw(st.sampled_from([None, None, HOUR, 60 * DAY]))
        if what in ("delete", "hide", "unhide"):
            about = draw(st.sampled_from(standing))
            found.append(Told(what, f"{what}-{number}", about.id, about.who, at, again))
        elif what == "reply":
            about = draw(st.sampled_from([each for each in said if each.id not in gone] or said))
            if about.id in gone:
                continue  # nobody can answer what is not there any more
            found.append(Told(what, f"reply-{number}", about.id, about.who, at, again))
        elif what == "undo":
            about = draw(st.sampled_from(left))
            found.append(Told(what, f"undo-{number}", about.id, about.who, at, again))
        else:
            # What is done to one of three things; the thing is in the id, so that the undoing names it too.
            name = f"{draw(st.sampled_from('xyz'))}!{what}-{number}" if what == "reaction" else f"{what}-{number}"
            found.append(Told(what, name, name, who, at, again))
    return found


def lived(happened: list[Told]) -> Ages:
    """What comes of it."""
    ages = Ages()
    ages.policy(T0 - DAY, PolicyRule(target_seconds=6 * 3600, warn_at=(0.5,)))
    arriving = [(each.at, each) for each in happened]
    arriving += [(each.at + each.again, each) for each in happened if each.again is not None]
    for at, each in sorted(arriving, key=lambda one: one[0]):
        ages.wait(max(at, ages.clock))
        ages.happen(each.event(), ages.clock)
    ages.wait(ages.clock + 200 * DAY)
    return ages


def by_hand(happened: list[Told], who: str) -> dict[str, int]:
    """How many of each kind a follower's row should count."""
    gone = {each.of for each in happened if each.what in ("delete", "undo")}
    hidden: dict[str, bool] = {}
    for each in happened:
        if each.what in ("hide", "unhide"):
            hidden[each.of] = each.what == "hide"
    counts: Counter[str] = Counter()
    things: set[tuple[str, str]] = set()
    for each in happened:
        if each.who != who or each.id in gone or hidden.get(each.id):
            continue
        if each.what in (*WORDS, "reply", "vote"):
            counts[each.what] += 1
        elif each.what == "follow":
            things.add(("follow", "acme-1"))
        elif each.what in TOGGLES:
            things.add((each.what, each.id.partition("!")[0] if each.what == "reaction" else each.id))
    return dict(counts + Counter(kind for kind, _ in things))


@settings(max_examples=250, deadline=None)
@given(happened=years())
def test_rows_that_left_make_no_difference_and_what_counts_is_what_can_be_counted(happened: list[Told]) -> None:
    with nothing_leaves():
        wanted = lived(happened)
    found = lived(happened)
    target(float(len(wanted.rows) + len(wanted.people) - len(found.rows) - len(found.people)))
    assert _followers(found) == _followers(wanted)
    assert found.snapshots == wanted.snapshots
    assert found.alerts == wanted.alerts
    assert [(each.object, each.revision, each.undone) for each in found.spoken] == [
        (each.object, each.revision, each.undone) for each in wanted.spoken
    ]
    for who in FOLLOWERS:
        if any(each.who == who for each in happened):
            assert found.counts(who) == by_hand(happened, who)


def _followers(ages: Ages) -> dict[bytes, Any]:
    return {key: msgspec.json.decode(value) for key, value in ages.people.items() if parts_of(key)[0] == FOLLOWER}
