"""Makes sentences in a brand's voice."""

import random

from rapport.demo.recording import voices
from rapport.demo.recording.voices import Voice


def filled(draw: random.Random, voice: Voice, template: str) -> str:
    """A text with its gaps filled; the same gap always gets another word."""
    text = template.format_map({name: draw.choice(words) for name, words in voice.words.items()})
    return text[:1].upper() + text[1:]


def said(draw: random.Random, voice: Voice, tone: str) -> str:
    """A comment in a tone: `question`, `praise`, `complaint` or `short`."""
    if tone == "short":
        return draw.choice(voices.SHORT)
    if tone == "praise":
        return filled(draw, voice, draw.choice(voice.praise))
    if tone == "complaint":
        return filled(draw, voice, draw.choice(voice.complaints))
    opener = draw.choice(voices.OPENERS)
    question = filled(draw, voice, draw.choice(voice.questions))
    if opener:
        question = opener + question[:1].lower() + question[1:]
    return question + draw.choice(voices.CLOSERS)
