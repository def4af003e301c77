"""Every place that takes words or hashtags to look for: what it accepts, a text can have; the rest it refuses."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import services.api
from rapport.domain.campaigns.campaign import has_word, tagged
from rapport.domain.campaigns.survey import Option, Question, chosen
from rapport.domain.communities.community import All, condition, matches
from rapport.domain.mix.labels import LabelRule
from rapport.domain.mix.labels import matches as labels
from rapport.domain.policies.policy import says
from services.api.http.schemas import Input
from tests.domain.communities.drawn import NOW
from tests.domain.communities.test_community import facts_of
from tests.services.api.campaigns.data import LATER, ROAST
from tests.services.api.conftest import Served

BRAND = "aurora"
HOME = f"/v1/brands/{BRAND}"
WORDS = (
    "coffee", "two words", "İstanbul", "ılık", "cafe\u0301", "हिन्दी", "கம்", "สวัสดี", "ກາເຟ", "ខ្មែរ", "ကော်ဖီ",
    "コーヒー", "ｶﾌｪ", "退款",
    "❤️", "👍🏽", "👩\u200d🔬", "🇩🇪", "1️⃣", "❤️ you", "C++", "#sale", "don´t", "ﷺ", "½", "ª", "_", "a_b",
    "2026", "+", "?", "!!",
    "\u200b", "\u200d\ufe0f", "\u00ad", "\u0301", "\u0627\u0640", "a\u0301\u0301\u0301",
)  # fmt: skip
HASHTAGS = (
    *WORDS,
    "＃コーヒー",
    "##twice",
    "#",
    "summer_2026",
    "half-way",
    "#paral·lel",
    "2026coffee",
    "☕️",
    "#❤️love",
    "#_",
    "٢٠٢٦",
)

Place = tuple[Callable[[httpx.Client, str, int], httpx.Response], Callable[[str], bool]]


def _policy(client: httpx.Client, word: str, _: int) -> httpx.Response:
    rule = {"when": {"words": [word]}, "target_seconds": 60}
    # A preview takes the same rules, and makes no version.
    return client.post(f"{HOME}/policy/preview", json={"rules": [rule], "calendars": {}})


def _mix(field: str) -> Callable[[httpx.Client, str, int], httpx.Response]:
    return lambda client, word, _: client.put(
        f"{HOME}/mix/settings", json={"rules": [{"label": "business", field: word}]}
    )


def _giveaway(client: httpx.Client, word: str, number: int) -> httpx.Response:
    needed = {"requirements": [{"kind": "comment", "word": word}]}
    return client.post(f"{HOME}/campaigns", json={**LATER, "id": f"word-{number}", "giveaway": needed})


def _hashtag(client: httpx.Client, word: str, number: int) -> httpx.Response:
    return client.post(f"{HOME}/campaigns", json={**LATER, "id": f"tag-{number}", "hashtag": word})


def _survey(client: httpx.Client, name: str, option: dict[str, Any]) -> httpx.Response:
    question = {**ROAST, "options": [option, {"id": "other", "label": "something else"}]}
    fields = {name: value for name, value in LATER.items() if name != "giveaway"}
    body = {**fields, "id": name, "kind": "survey", "survey": {"questions": [question]}}
    return client.post(f"{HOME}/campaigns", json=body)


def _chosen(option: Option, word: str) -> bool:
    other = Option(id="other", label="something else")
    return chosen(Question(id="roast", text="?", options=(option, other)), word) == "it"


def _community(client: httpx.Client, word: str, number: int) -> httpx.Response:
    rule = {"kind": "condition", "field": "words", "comparison": "wrote", "value": word}
    body = {"id": f"community-{number}", "name": "Who wrote it", "rule": {"kind": "all", "of": [rule]}}
    return client.post(f"{HOME}/communities", json=body)


PLACES: dict[str, Place] = {
    "When.words": (_policy, lambda word: says(word, [word])),
    "MixRule.hashtag": (
        _mix("hashtag"),
        lambda tag: labels(LabelRule(label="business", hashtag=_bare(tag)), f"#{_bare(tag)}"),
    ),
    "MixRule.word": (_mix("word"), lambda word: labels(LabelRule(label="business", word=word), word)),
    "RequirementInput.word": (_giveaway, lambda word: has_word(word, word)),
    "Terms.hashtag": (_hashtag, lambda tag: tagged(_bare(tag), f"#{_bare(tag)}")),
    "OptionInput.label": (
        lambda client, word, number: _survey(client, f"label-{number}", {"id": "it", "label": word}),
        lambda word: _chosen(Option(id="it", label=word), word),
    ),
    "OptionInput.keywords": (
        lambda client, word, number: _survey(
            client, f"keyword-{number}", {"id": "it", "label": "the one", "keywords": [word]}
        ),
        lambda word: _chosen(Option(id="it", label="the one", keywords=(word,)), word),
    ),
    "communities": (
        _community,
        lambda word: matches(All((condition("words", "wrote", word),)), facts_of(texts=(word,)), NOW),
    ),
}
SAME = {"CampaignInput.hashtag": "Terms.hashtag", "CampaignChanges.hashtag": "Terms.hashtag"}


def _bare(tag: str) -> str:
    return tag.removeprefix("#").removeprefix("＃")


@pytest.mark.stack
@pytest.mark.parametrize("place", PLACES)
def test_what_is_accepted_can_match_and_the_rest_is_refused_with_words(api: Served, place: str) -> None:
    api.brand(BRAND)
    send, found = PLACES[place]
    refused = []
    for number, word in enumerate(HASHTAGS if place.endswith("hashtag") else WORDS):
        answer = send(api.client, word, number)
        if answer.status_code == 422:
            assert all(len(each["why"].split()) > 3 for each in answer.json()["errors"]), answer.text
            refused.append(word)
            continue
        assert answer.status_code in (200, 201), (word, answer.text)
        assert found(word), f"{word!r} is accepted, and never found"
    expected = {"2026", "#", "two words", "_", "#_", "\u200b"} if place.endswith("hashtag") else {"\u200b", "\u00ad"}
    assert expected <= set(refused)
    assert {"coffee", "हिन्दी", "コーヒー", "❤️", "cafe\u0301"} & set(refused) == set()


def test_no_place_that_takes_words_is_left_out() -> None:
    for module in pkgutil.walk_packages(services.api.__path__, "services.api."):
        importlib.import_module(module.name)
    models, found = [Input], set()
    while models:
        model = models.pop()
        models += model.__subclasses__()
        found |= {
            f"{model.__name__}.{name}"
            for name in model.model_fields
            if {"word", "words", "keywords", "hashtag"} & {name}
        }
    assert found - set(SAME) == set(PLACES) - {"OptionInput.label", "communities"}
