"""The three brands: who they are, where they are, and how well they answer."""

from dataclasses import dataclass, field

from rapport.demo.recording.people import Person
from rapport.demo.recording.voices import Voice
from rapport.demo.recording.voices.museum import MUSEUM
from rapport.demo.recording.voices.outfitter import OUTFITTER
from rapport.demo.recording.voices.roastery import ROASTERY


@dataclass(frozen=True)
class DemoAccount:
    """A brand's account on one platform."""

    id: str
    platform: str
    handle: str
    audience: int
    """How many people do anything here."""
    reactions: int
    comments: int
    """Roughly how many in the fortnight, without the viral post."""
    platform_id: str | None = None
    """The account's id on its platform, where what happens there is told as the platform tells it. Else it comes in
    through the generic door."""


@dataclass(frozen=True)
class DemoBrand:
    """A client of the agency."""

    id: str
    name: str
    timezone: str
    accounts: tuple[DemoAccount, ...]
    team: tuple[Person, ...]
    voice: Voice = field(repr=False)
    answered: float
    """The share of comments that it answers."""
    late: float
    """The share of its answers that take longer than a day."""
    viral_on: str | None = None
    """The account on which one post took off."""
    giveaway_on: str | None = None
    currency: str = "EUR"


BRANDS = (
    DemoBrand(
        id="harbour",
        name="Harbour Roasters",
        timezone="Europe/Lisbon",
        accounts=(
            DemoAccount("harbour-instagram", "instagram", "harbour.roasters", 900, 2600, 520, "17841403387465291"),
            DemoAccount("harbour-mastodon", "mastodon", "harbour@coffee.example", 260, 500, 140, "1077"),
            DemoAccount("harbour-bluesky", "bluesky", "harbourroasters.example", 320, 600, 170),
        ),
        team=(
            Person("hr-ines", "harbour.roasters", "Inês, Harbour Roasters"),
            Person("hr-rui", "harbour.roasters", "Rui"),
        ),
        voice=ROASTERY,
        answered=0.94,
        late=0.05,
        giveaway_on="harbour-instagram",
    ),
    DemoBrand(
        id="northfell",
        name="Northfell Outfitters",
        timezone="Europe/London",
        accounts=(
            DemoAccount("northfell-instagram", "instagram", "northfell", 850, 2400, 480, "17841405127093846"),
            DemoAccount("northfell-youtube", "youtube", "@northfell", 700, 1300, 430, "UCnF3llOutf1tters2ndLak"),
            DemoAccount("northfell-facebook", "facebook", "northfelloutfitters", 500, 900, 300, "203187740916453"),
        ),
        team=(
            Person("nf-morag", "northfell", "Morag at Northfell"),
            Person("nf-callum", "northfell", "Callum, workshop"),
        ),
        voice=OUTFITTER,
        answered=0.82,
        late=0.14,
        giveaway_on=None,
        currency="GBP",
    ),
    DemoBrand(
        id="machines",
        name="Museum of Small Machines",
        timezone="Europe/Berlin",
        accounts=(
            DemoAccount("machines-mastodon", "mastodon", "smallmachines@museum.example", 380, 700, 190),
            DemoAccount("machines-bluesky", "bluesky", "smallmachines.example", 360, 700, 180),
            DemoAccount("machines-youtube", "youtube", "@smallmachines", 1400, 500, 120, "UCsm4llMach1nes1911Thmb"),
        ),
        team=(Person("sm-jule", "smallmachines", "Jule, Museum of Small Machines"),),
        voice=MUSEUM,
        answered=0.88,
        late=0.09,
        viral_on="machines-youtube",
    ),
)  # fmt: skip
