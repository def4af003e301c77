"""What the fields of the portal's forms take: every text has a length, every button a meaning, every file a content."""

import re
from typing import Any, get_args

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pymongo.database import Database

from rapport.contracts.controls import FollowerErased
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.http.ids import follower_ref
from services.api.mix.schemas import MOST_RULES
from services.api.web import pages
from services.api.web.form_fields import ONCE
from tests.e2e import portal_data
from tests.services.api.conftest import Served
from tests.services.api.log import controls
from tests.services.api.web.form_browser import Visitor, forms_in
from tests.services.api.web.test_forms import HOME, PAGES, everything, filled  # noqa: F401 - a fixture


def _fields(dependant: Dependant) -> list[Any]:
    return [*dependant.body_params, *(field for each in dependant.dependencies for field in _fields(each))]


def _texts(annotation: Any) -> bool:
    return annotation is str or any(_texts(each) for each in get_args(annotation))


def test_every_text_of_every_form_has_a_longest_length() -> None:
    routers = (pages.router, *(module.router for module in pages.MODULES))
    routes = [each for router in routers for each in router.routes if isinstance(each, APIRoute)]
    fields = [(route.path, field) for route in routes for field in _fields(route.dependant)]
    assert len(fields) > 20
    for path, field in fields:
        annotation = field.field_info.annotation
        if not _texts(annotation) or "Literal" in str(annotation):
            continue
        bounded = [each.max_length for each in field.field_info.metadata if hasattr(each, "max_length")]
        assert bounded, (path, field.name)


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_no_form_takes_a_button_that_it_does_not_have(api: Served, views: Database[Document]) -> None:
    visitor = Visitor(api)
    tried = 0
    for path in PAGES:
        for form in visitor.forms(path):
            for name in {name for name, _ in form.buttons if name}:
                before = everything(views)
                answer = visitor.send(form, (name, "else"))
                assert answer.status_code in (200, 404, 422), (path, form.action, name, answer.status_code)
                assert everything(views) == before, (path, form.action, name)
                tried += 1
    assert tried > 5


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_more_rules_of_a_mix_than_a_brand_can_have_are_told_and_stay_in_the_form(
    api: Served, views: Database[Document]
) -> None:
    visitor = Visitor(api)
    before = everything(views)
    typed = "\r\n".join(f"personal: word {number}" for number in range(MOST_RULES + 50))
    answer = visitor.send(visitor.form(f"{HOME}/mix", "/settings").filled(rules=typed))
    assert (answer.status_code, f"A brand can have at most {MOST_RULES} rules." in answer.text) == (422, True)
    [again] = [each for each in forms_in(answer.text) if each.action.endswith("/settings")]
    assert again["rules"] == typed
    assert everything(views) == before


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_corrected_file_that_is_as_long_as_before_is_another_file(api: Served, views: Database[Document]) -> None:
    visitor = Visitor(api)
    form = visitor.form(f"{HOME}/calendar", "/calendar/file")
    for year in ("2031", "2032"):
        rows = f"planned_at,account,text\n{year}-05-01T10:00:00Z,all,From a file\n"
        answer = visitor.client.post(
            form.action, data={ONCE: form[ONCE], "agree": "true"}, files={"file": ("plans.csv", rows.encode())}
        )
        assert answer.status_code == 303, answer.text
    years = sorted(each["planned_at"].year for each in views["planned_posts"].find({"text": "From a file"}))
    assert years == [2031, 2032]


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("kept", ["é", "=", "A", "\x00", "%%%"])
def test_a_file_that_comes_back_from_a_preview_may_be_anything(api: Served, kept: str) -> None:
    visitor = Visitor(api)
    for path in ("/calendar/file", "/identities/file"):
        answer = visitor.client.post(f"{HOME}{path}", data={"kept_file": kept, "agree": "true"})
        assert answer.status_code == 422, (path, answer.text)


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_person_is_forgotten_by_their_name(api: Served, stack: Running, views: Database[Document]) -> None:
    visitor = Visitor(api)
    brand = portal_data.BRAND

    def erasures(follower: str) -> int:
        """How many erasures of the follower are in the log, which other tests of this brand write to as well."""
        found = controls(stack.kafka, brand).values()
        return sum(isinstance(each, FollowerErased) and each.follower == follower for some in found for each in some)

    hostile = "  =Ünï\u202e\u200b \n “Ada” " + "long " * 20
    typed = {
        "did:plc:0": ("ADA  lovelace", {"name": "Ada Lovelace", "handle": "ada.example"}),
        "did:plc:1": ("@Ada.Example", {"name": "Ada Lovelace", "handle": "ada.example"}),
        "did:plc:2": ("did:plc:2", {"name": " ", "handle": None}),
        "did:plc:3": ("", {"name": hostile, "handle": None}),
    }
    for follower, (name, called) in typed.items():
        views["followers"].update_one({"_id": f"{brand}/bluesky/{follower}"}, {"$set": called})
        path = f"{HOME}/followers/{follower_ref('bluesky', follower)}"
        form = visitor.form(path, "/forget")
        before = erasures(follower)
        for wrong in ("", "forget", "yes", "somebody else", "\u202e"):
            answer = visitor.send(form.filled(name=wrong))
            assert (answer.status_code, "That is not their name" in answer.text) == (422, True), (follower, wrong)
        assert erasures(follower) == before
        shown = re.search(r"<strong><bdi>(.*?)</bdi>", visitor.client.get(path).text)
        assert shown is not None
        assert visitor.send(form.filled(name=name or shown[1])).status_code == 303, follower
        assert erasures(follower) > before
