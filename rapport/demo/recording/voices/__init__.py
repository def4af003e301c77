"""What people write to the three brands, and what the brands write back. `{…}` takes one of the voice's words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """The texts of one brand. Questions want facts, praise wants thanks, complaints want care."""

    words: dict[str, tuple[str, ...]]
    posts: tuple[str, ...]
    personal_posts: tuple[str, ...]
    questions: tuple[str, ...]
    praise: tuple[str, ...]
    complaints: tuple[str, ...]
    messages: tuple[str, ...]
    mentions: tuple[str, ...]
    answers: tuple[str, ...]
    thanks: tuple[str, ...]
    care: tuple[str, ...]
    viral: str
    viral_comments: tuple[str, ...]


OPENERS = (
    "",
    "",
    "",
    "",
    "",
    "Hi! ",
    "Hello, ",
    "Hey team, ",
    "Quick question: ",
    "Morning! ",
    "Sorry if this was asked: ",
)
CLOSERS = (
    "",
    "",
    "",
    "",
    "",
    " Thanks!",
    " Thank you 🙏",
    " 😊",
    " Cheers",
    " Would love to know.",
    " Thanks in advance!",
)
FOLLOW_UPS = (
    "And one more thing: is that also true at weekends?",
    "Just checking whether you saw this 🙂",
    "Asking because my sister's birthday is next week.",
    "Sorry, I meant the small one.",
    "Anyone?",
    "I looked on your site and could not find it.",
    "*the smaller size, typo, sorry",
)
SHORT = (
    "❤️",
    "🔥🔥",
    "Love this!",
    "So good.",
    "Wow 😍",
    "Beautiful!",
    "Made my day.",
    "Yes!!",
    "👏👏",
    "This, always this.",
)
