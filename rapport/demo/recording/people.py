"""The people who follow, with invented names and handles."""

import random
import unicodedata
from dataclasses import dataclass

GIVEN = (
    "Ada", "Aisha", "Amara", "Anouk", "Antoni", "Ayo", "Beatriz", "Bram", "Callum", "Carmen", "Chiara", "Daan", "Dilek",
    "Duarte", "Eilidh", "Elif", "Emeka", "Esra", "Fergus", "Fiona", "Freya", "Gus", "Hana", "Hugo", "Ibrahim", "Ida",
    "Ines", "Isla", "Jakub", "Jonas", "Kaya", "Klara", "Lars", "Leila", "Lena", "Linus", "Mael", "Magda", "Mara",
    "Marek", "Mateo", "Milan", "Mina", "Mira", "Nadia", "Nils", "Noor", "Olek", "Oona", "Paulo", "Petra", "Rafa",
    "Ravi", "Rosa", "Rowan", "Samir", "Saoirse", "Selma", "Sina", "Sofia", "Tariq", "Tessa", "Theo", "Tom", "Ulla",
    "Vera", "Wanda", "Yara", "Yusuf", "Zoe",
)  # fmt: skip
FAMILY = (
    "Abreu", "Achterberg", "Adeyemi", "Almeida", "Aydin", "Bakker", "Barros", "Bergmann", "Boyle", "Brandt", "Castro",
    "Cole", "Costa", "Demir", "Dietz", "Doyle", "Ekström", "Farias", "Fischer", "Forbes", "Gallagher", "Grant",
    "Haas", "Hughes", "Ibsen", "Jansen", "Kaplan", "Keller", "Khan", "Kowalski", "Larsen", "Lindqvist", "Lopes",
    "MacRae", "Mensah", "Moreira", "Neumann", "Nowak", "Okafor", "Oliveira", "Pereira", "Quinn", "Rao", "Reid",
    "Ribeiro", "Roth", "Santos", "Schäfer", "Silva", "Sousa", "Stewart", "Sørensen", "Tanaka", "Teixeira", "Ueda",
    "Vidal", "Visser", "Wagner", "Walsh", "Weber", "Yilmaz", "Zhang",
)  # fmt: skip
HOBBIES = (
    "bakes", "outside", "reads", "on.wheels", "draws", "and.the.dog", "hikes", "sings", "in.the.garden", "codes",
    "knits", "runs", "at.sea", "by.train", "cooks", "clicks", "paints", "up.north",
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """One identity on one platform."""

    id: str
    handle: str
    name: str

    def actor(self) -> dict[str, str]:
        """In the form of the generic door."""
        return {"id": self.id, "handle": self.handle, "name": self.name}


def people(draw: random.Random, platform: str, count: int) -> list[Person]:
    """This many people of a platform, with unique handles."""
    found: dict[str, Person] = {}
    while len(found) < count:
        given, family = draw.choice(GIVEN), draw.choice(FAMILY)
        handle = _handle(draw, plain(given), plain(family))
        if handle in found:
            handle += str(draw.randrange(2, 99))
        if handle not in found:
            found[handle] = Person(_id(draw, platform, handle), _placed(platform, handle), f"{given} {family}")
    return list(found.values())


def _handle(draw: random.Random, given: str, family: str) -> str:
    style = draw.randrange(11) % 6  # the last style half as often
    return (
        f"{given}.{family}",
        f"{given}{family[:1]}{draw.randrange(70, 99)}",
        f"{given}.{draw.choice(HOBBIES)}",
        f"{given}_{family}",
        f"{given[:1]}{family}",
        f"the.real.{given}.{family}",
    )[style]


def _id(draw: random.Random, platform: str, handle: str) -> str:
    number = draw.randrange(10**16, 10**17)
    if platform == "bluesky":
        return f"did:plc:{number:x}{draw.randrange(10**9):x}"
    return f"{number}" if platform != "youtube" else f"UC{number:x}{handle[:4]}"


def _placed(platform: str, handle: str) -> str:
    if platform == "bluesky":
        return handle.replace("_", "-").replace(".", "-") + ".bsky.example"
    if platform == "mastodon":
        return handle.replace(".", "_") + "@" + ("toot.example", "fedi.example", "coffee.example")[len(handle) % 3]
    return handle


def plain(name: str) -> str:
    """A name in lower-case ASCII letters, as handles are."""
    spelled = name.lower().replace("ø", "o").replace("ß", "ss")
    return unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
