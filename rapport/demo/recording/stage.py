"""The clocks to watch: a few that have run out, several that are about to, two that get a warning."""

from datetime import datetime, timedelta

from rapport.demo.recording.feed import Feed, Post
from rapport.demo.recording.talk import TARGET

OVERDUE = (timedelta(minutes=14), timedelta(minutes=38), timedelta(minutes=71))
"""For how long, one for each brand."""
DUE_IN_SECONDS = (25, 38, 52, 65, 78, 91, 104, 117)
"""From the end of the fortnight, shared out among the brands."""
WARNED_IN_SECONDS = (45, 85, 110)
WARNING_AT = 0.75

PEOPLE = (
    ("mira", "Mira Kaplan", "Is the order from Friday on its way? It was meant for a birthday."),
    ("jonas.outside", "Jonas Weber", "Could you tell me whether this is still available? I would come by tomorrow."),
    ("saoirse", "Saoirse Doyle", "I have asked twice now, is anybody there?"),
    ("tariq.reads", "Tariq Rao", "Which one would you recommend for a complete beginner?"),
    ("wanda", "Wanda Nowak", "Mine arrived broken. What shall I do with it?"),
    ("callum.and.the.dog", "Callum Reid", "Are dogs welcome inside? He is very polite."),
    ("beatriz", "Beatriz Moreira", "Posso trocar por outro? O recibo ainda tenho."),
    ("ida.by.train", "Ida Lindqvist", "Is there anything vegetarian to eat nearby? We come with a group."),
    ("olek", "Olek Kowalski", "How do I cancel? The page only shows an error."),
    ("noor.draws", "Noor Visser", "May I draw this and post it, with your name on it?"),
    ("emeka", "Emeka Okafor", "Do you have this for left-handed people?"),
    ("klara_knits", "Klara Brandt", "Could somebody call me back about my reservation?"),
    ("rafa", "Rafa Vidal", "Does the offer also count for students?"),
    ("yara.up.north", "Yara Haas", "What time does it start on Thursday?"),
)  # fmt: skip


def set_clocks(number: int, feeds: list[Feed], now: datetime) -> None:
    """Gives brand `number` (of three) its share of comments that are overdue, soon due, or soon warned of."""
    brands = len(OVERDUE)
    opened = [now - TARGET - OVERDUE[number]]
    opened += [now - TARGET + timedelta(seconds=wait) for wait in DUE_IN_SECONDS[number::brands]]
    opened += [now - TARGET * WARNING_AT + timedelta(seconds=WARNED_IN_SECONDS[number])]
    for place, at in enumerate(opened):
        handle, name, text = PEOPLE[(number + place * brands) % len(PEOPLE)]
        feed = feeds[place % len(feeds)]
        person = feed.person(f"{feed.account.platform}-{handle}", handle, name)
        newest = max(
            (fact for fact in feed.facts if fact.body["kind"] == "post" and fact.at < at), key=lambda fact: fact.at
        )
        feed.add("follow", person, at - timedelta(days=2 + place), feed.new_id("follow"))
        feed.comment(person, Post(newest.body["id"], newest.at, 1.0), at, text, "question")
