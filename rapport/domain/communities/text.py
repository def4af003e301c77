"""The text of a rule: `platform is instagram and trust > 20 and (comments >= 3 or wrote "coffee")`, read and written.

Words and symbols of comparison say the same (`trust is more than 20`); what is written has one form. `and` binds
before `or`; what is written has parentheses around every group within another. Whoever reads is told the place of
what is wrong, what stands there and what is missed.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from rapport.domain.communities.community import (
    FIELDS,
    MOST_CONDITIONS,
    MOST_DEEP,
    NUMBERS,
    PLATFORM,
    All,
    Any,
    CommunityRule,
    Condition,
    Not,
    Part,
    PartError,
    condition,
    conditions,
    depth,
    meant,
    whole,
)
from rapport.domain.communities.sense import culprit, sense
from rapport.domain.figures import counted
from rapport.domain.words import fold

LONGEST_TEXT = 6_000
"""More than the longest conditions that a rule may have."""


class TextSpan(Struct, frozen=True):
    """Characters of a text: where they begin, counted from 0, how many, and the same as line and column, from 1."""

    offset: int
    length: int
    line: int
    column: int


class RuleError(ValueError):
    """A rule that is refused. `place` is in its text, `pointer` in its JSON; one of them is there."""

    def __init__(self, why: str, *, place: TextSpan | None = None, pointer: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.place = place
        self.pointer = pointer


Wrong = Callable[[Condition, Part, str], RuleError]


class Read(NamedTuple):
    """A rule that makes sense, and how to refuse part of it for another reason, such as an unknown campaign."""

    rule: CommunityRule
    wrong: Wrong


class _Token(NamedTuple):
    kind: str
    """`word`, `number`, `quoted`, `symbol`, or `end`."""
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"""(?P<quoted>"[^"“”\n]*"|“[^"“”\n]*”)"""
    r"""|(?P<symbol><=|>=|!=|[<>=≤≥≠()])"""
    r"""|(?P<word>[^\s()<>=!≤≥≠"“”,]+)"""
    r"""|(?P<other>\S)"""
)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?%?")
_SYMBOLS = {"≤": "<=", "≥": ">=", "≠": "!="}
_SAID = {"at least": ">=", "at most": "<=", "more than": ">", "less than": "<", "above": ">", "below": "<", "not": "!="}
"""What can follow `is`, of a number."""
_PHRASES = {
    "wrote": ("words", "wrote"),
    "entered": ("campaign", "entered"),
    "never wrote": ("words", "never wrote"),
    "never entered": ("campaign", "never entered"),
}
"""Conditions that begin with their comparison."""
_RESERVED = frozenset({"not", "at", "more", "less", "above", "below"})


def parse(text: str) -> Read:
    """Reads the text of a rule. Raises RuleError."""
    return _Parser(text).read()


def _place(text: str, start: int, end: int) -> TextSpan:
    line = text.count("\n", 0, start)
    return TextSpan(start, max(1, end - start), line + 1, start - (text.rfind("\n", 0, start) + 1) + 1)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._places: list[tuple[Condition, Mapping[str, tuple[int, int]]]] = []
        if len(text) > LONGEST_TEXT:
            raise self._error(f"a rule has {LONGEST_TEXT:,} characters at most", LONGEST_TEXT, len(text))
        self._tokens = self._tokenized()
        self._next = 0

    def _tokenized(self) -> list[_Token]:
        found: list[_Token] = []
        for match in _TOKEN.finditer(self._text):
            kind = match.lastgroup or ""
            token = _Token(kind, match[0], match.start(), match.end())
            if kind == "other":
                quote = token.text in ('"', "“", "”")
                why = "this quote is not closed" if quote else f"“{token.text}” has no meaning here"
                raise self._error(why, token.start, token.end)
            if kind == "word" and _NUMBER.fullmatch(token.text):
                token = token._replace(kind="number")
            found.append(token)
        end = len(self._text.rstrip())
        found.append(_Token("end", "", end, end + 1))
        return found

    def read(self) -> Read:
        if self._peek().kind == "end":
            raise self._error("there is no condition yet, such as “stage is at least likes”", 0, 1)
        rule = self._group(1)
        if self._peek().kind != "end":
            raise self._missed("“and”, “or” or the end")
        if len(self._places) > MOST_CONDITIONS:
            raise self._at(self._places[MOST_CONDITIONS][0], f"a rule has {MOST_CONDITIONS} conditions at most")
        if depth(rule) > MOST_DEEP:
            raise self._at(rule, f"groups go {MOST_DEEP} deep at most")
        refuse_senseless(rule, self._at)
        return Read(rule, self._wrong)

    def _group(self, deep: int) -> CommunityRule:
        either = [self._all(deep)]
        while self._takes("or"):
            either.append(self._all(deep))
        return either[0] if len(either) == 1 else Any(tuple(either))

    def _all(self, deep: int) -> CommunityRule:
        every = [self._one(deep)]
        while self._takes("and"):
            every.append(self._one(deep))
        return every[0] if len(every) == 1 else All(tuple(every))

    def _one(self, deep: int) -> CommunityRule:
        if deep > MOST_DEEP:
            token = self._peek()
            raise self._error(f"groups go {MOST_DEEP} deep at most", token.start, token.end)
        if self._takes("not"):
            return Not(self._one(deep + 1))
        if self._takes("("):
            inner = self._group(deep + 1)
            if not self._takes(")"):
                raise self._missed("“)”")
            return inner
        return self._condition()

    def _condition(self) -> Condition:
        first = self._peek()
        phrase = self._phrase()
        if phrase is not None:
            field, comparison = _PHRASES[phrase]
            at = first.start, self._tokens[self._next - 1].end
            return self._made(field, comparison, {"field": at, "comparison": at})
        if first.kind != "word":
            raise self._missed("a condition, such as “trust > 20”")
        field = self._field()
        its = first.start, self._tokens[self._next - 1].end
        before = self._peek().start
        comparison = self._days() if FIELDS[field].kind == "days" else self._comparison(field)
        compared = before, self._tokens[self._next - 1].end
        return self._made(field, comparison, {"field": its, "comparison": compared})

    def _phrase(self) -> str | None:
        words = fold(self._peek().text)
        if words == "never" and fold(self._peek(1).text) in ("wrote", "entered"):
            words = f"never {fold(self._peek(1).text)}"
        if words not in _PHRASES:
            return None
        self._next += len(words.split())
        return words

    def _field(self) -> str:
        first = self._peek()
        word = fold(first.text)
        two = f"{word} {fold(self._peek(1).text)}"
        if two in FIELDS:
            self._next += 2
            return two
        named = next((each for each in (word, f"{word}s", f"{word[:-1]}ies") if each in FIELDS), None)
        if named is None or named in ("words", "campaign"):
            known = [name for name in FIELDS if name not in ("words", "campaign")]
            hint = meant(word, [*known, "wrote", "entered", "never"]) or meant(two, known)
            raise self._error(f"found “{first.text}”, which is not a field{hint}", first.start, first.end)
        self._next += 1
        return named

    def _days(self) -> str:
        self._takes("is")
        for words in ("within", "more than"):
            if self._takes(*words.split()):
                return words
        raise self._missed("“within” or “more than”, as in “within 30 days”")

    def _comparison(self, field: str) -> str:
        number = FIELDS[field].comparisons == NUMBERS
        is_said = self._takes("is")
        said = next((words for words in _SAID if self._takes(*words.split())), None)
        if not is_said and said is None:
            token = self._peek()
            symbol = _SYMBOLS.get(token.text, token.text)
            if token.kind != "symbol" or symbol in "()":
                raise self._missed("a comparison: " + (" ".join(NUMBERS) if number else "“is” or “is not”"))
            self._next += 1
            if not number:
                symbol = {"=": "is", "!=": "is not"}.get(symbol, symbol)
            return symbol
        if number:
            return "=" if said is None else _SAID[said]
        return "is" if said is None else f"is {said}"

    def _made(self, field: str, comparison: str, at: Mapping[str, tuple[int, int]]) -> Condition:
        token = self._peek()
        kind = FIELDS[field].kind
        if token.kind not in ("word", "number", "quoted"):
            wanted = {"words": "words in quotes", "campaign": "the id of a campaign", "days": "a number of days"}
            wanted |= {"stage": "a stage", "platform": "a platform", "bot": "yes or no"}
            raise self._missed(wanted.get(kind, "a whole number"))
        self._next += 1
        places = {**at, "value": (token.start, token.end)}
        try:
            made = condition(field, comparison, self._value(token))
        except PartError as error:
            raise self._error(error.why, *places[error.part]) from None
        if kind == "days":
            if not (self._takes("days") or self._takes("day")):
                raise self._missed("“days”")
            if comparison == "more than" and not self._takes("ago"):
                raise self._missed("“ago”")
        whole = at["field"][0], self._tokens[self._next - 1].end
        self._places.append((made, {**places, "whole": whole}))
        return made

    def _value(self, token: _Token) -> int | str:
        if token.kind == "quoted":
            return token.text[1:-1]
        if token.kind == "word":
            return token.text
        number = whole(token.text)
        if number is None:
            raise PartError("value", f"“{token.text}” is not a whole number, or is too large")
        return number

    def _peek(self, beyond: int = 0) -> _Token:
        return self._tokens[min(self._next + beyond, len(self._tokens) - 1)]

    def _takes(self, *words: str) -> bool:
        """Goes on behind these words where they come next."""
        for place, word in enumerate(words):
            token = self._peek(place)
            if token.kind not in ("word", "symbol") or fold(token.text) != word:
                return False
        self._next += len(words)
        return True

    def _missed(self, expected: str) -> RuleError:
        token = self._peek()
        found = "the end" if token.kind == "end" else f"“{token.text}”"
        return self._error(f"found {found}, where {expected} should be", token.start, token.end)

    def _error(self, why: str, start: int, end: int) -> RuleError:
        return RuleError(why, place=_place(self._text, start, end))

    def _at(self, part: CommunityRule, why: str) -> RuleError:
        """What is wrong about a condition, or a group of them."""
        within = list(conditions(part))
        whole = [places["whole"] for one, places in self._places if any(one is each for each in within)]
        return self._error(why, min(start for start, _ in whole), max(end for _, end in whole))

    def _wrong(self, one: Condition, part: Part, why: str) -> RuleError:
        places = next(places for known, places in self._places if known is one)
        return self._error(why, *places[part])


def refuse_senseless(rule: CommunityRule, at: Callable[[CommunityRule, str], RuleError]) -> None:
    """Raises the RuleError that `at` makes where a rule matches everyone or nobody."""
    found = sense(rule)
    why = {
        "everyone": "this matches everyone, so it makes no community",
        "nobody": "nobody can match this",
        "tangled": "this asks the same things too often; a shorter rule is needed",
    }
    if found != "some":
        raise at(culprit(rule, found), why[found])


def render(rule: CommunityRule) -> str:
    """The text of a rule, in its one form."""
    match rule:
        case All() | Any():
            return f" {'and' if isinstance(rule, All) else 'or'} ".join(_within(each) for each in rule.of)
        case Not():
            return f"not {_within(rule.of)}"
    if FIELDS[rule.field].kind in ("words", "campaign"):
        return f'{rule.comparison} "{rule.value}"'
    if FIELDS[rule.field].kind == "days":
        days = counted(int(rule.value), "day")
        return f"{rule.field} {rule.comparison} {days}{' ago' if rule.comparison == 'more than' else ''}"
    value = str(rule.value)
    if rule.field == "platform" and (value in _RESERVED or not (value[0].isalpha() and PLATFORM.fullmatch(value))):
        value = f'"{value}"'
    return f"{rule.field} {rule.comparison} {value}"


def _within(rule: CommunityRule) -> str:
    return f"({render(rule)})" if isinstance(rule, All | Any) else render(rule)


_PATH = re.compile(r"^(?P<why>.*?)(?: - at `\$(?P<path>[^`]*)`)?$")


def from_plain(plain: object) -> Read:
    """Reads a rule from JSON, as `msgspec.to_builtins` makes it. Raises RuleError with the pointer of what is wrong."""
    try:
        rule = msgspec.convert(plain, CommunityRule)
        if depth(rule) > MOST_DEEP:
            raise RuleError(f"groups go {MOST_DEEP} deep at most", pointer="")
    except msgspec.ValidationError as error:
        found = _PATH.match(str(error))
        path = (found and found["path"]) or ""
        why = found["why"] if found else str(error)
        pointer = path.replace("[", "/").replace("]", "").replace(".", "/")
        raise RuleError(why[:1].lower() + why[1:], pointer=pointer) from None
    except RecursionError:
        raise RuleError(f"groups go {MOST_DEEP} deep at most", pointer="") from None
    pointers: list[tuple[CommunityRule, str]] = []
    rule = _checked(rule, "", pointers)

    def at(part: CommunityRule, why: str) -> RuleError:
        return RuleError(why, pointer=next((where for known, where in pointers if known is part), ""))

    if len(list(conditions(rule))) > MOST_CONDITIONS:
        raise at(rule, f"a rule has {MOST_CONDITIONS} conditions at most")
    refuse_senseless(rule, at)

    def wrong(one: Condition, part: Part, why: str) -> RuleError:
        return RuleError(why, pointer=f"{at(one, why).pointer}/{part}")

    return Read(rule, wrong)


def _checked(rule: CommunityRule, pointer: str, pointers: list[tuple[CommunityRule, str]]) -> CommunityRule:
    """The same with values as they are stored, and a group of one for that one."""
    found: CommunityRule
    match rule:
        case Condition():
            try:
                found = condition(rule.field, rule.comparison, rule.value)
            except PartError as error:
                raise RuleError(error.why, pointer=f"{pointer}/{error.part}") from None
        case Not():
            found = Not(_checked(rule.of, f"{pointer}/of", pointers))
        case _:
            if not rule.of:
                raise RuleError("a group has one condition at least", pointer=f"{pointer}/of")
            some = tuple(_checked(each, f"{pointer}/of/{place}", pointers) for place, each in enumerate(rule.of))
            found = some[0] if len(some) == 1 else type(rule)(some)
    pointers.append((found, pointer))
    return found
