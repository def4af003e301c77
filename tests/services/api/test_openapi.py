from services.api import openapi


def test_the_committed_document_is_the_one_that_the_code_makes() -> None:
    assert openapi.PATH.read_text(encoding="utf-8") == openapi.document(), "run `python -m services.api.openapi`"
