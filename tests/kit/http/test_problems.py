"""Problem documents."""

import json

from rapport.kit.http.problems import MEDIA_TYPE, FieldProblem, ProblemError, of_status


def test_a_document_has_what_rfc_9457_asks_for_and_only_what_is_known() -> None:
    response = ProblemError(422, "invalid", "name: too long", [FieldProblem("name", "too long")]).response()
    assert (response.status_code, response.media_type) == (422, MEDIA_TYPE)
    assert json.loads(bytes(response.body)) == {
        "type": "urn:rapport:problem:invalid",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "name: too long",
        "errors": [{"field": "name", "why": "too long"}],
    }


def test_a_kind_of_problem_has_its_own_title_and_members() -> None:
    document = json.loads(ProblemError(429, "busy", "later", id="a1", title="Too busy", waiting=3).document())
    assert (document["title"], document["id"], document["waiting"]) == ("Too busy", "a1", 3)


def test_a_status_alone_is_named_by_its_own_words() -> None:
    assert of_status(405, "POST only").slug == "method-not-allowed"


def test_a_document_repeats_whatever_a_body_held() -> None:
    half = "half of a pair: \ud800"
    error = ProblemError(422, "invalid", half, [FieldProblem("name", half)])
    document = json.loads(error.document())
    assert document["detail"] == document["errors"][0]["why"] == half
