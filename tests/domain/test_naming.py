"""What people are called: by handle or name, and by a short id where they have neither."""

from rapport.domain.naming import LONGEST_NAME, by_handle, by_name, handle_verified


def test_a_handle_is_shown_with_one_at_sign_and_a_name_where_there_is_none() -> None:
    assert by_handle("1", "ada", "Ada") == "@ada"
    assert by_handle("1", "@ada", "Ada") == "@ada"
    assert by_handle("1", None, "Ada") == "Ada"
    assert by_name("1", "ada", "Ada") == "Ada"
    assert by_name("1", "ada", None) == "ada"


def test_whoever_has_no_name_is_called_by_id_and_marked_where_anybody_can_claim_a_handle() -> None:
    assert by_name("4711", None, " ") == "4711"
    assert by_handle("did:plc:ada", "", None).endswith("(unverified)")


def test_a_handle_is_verified_where_ingest_passed_it_on_and_needs_no_check_elsewhere() -> None:
    assert handle_verified("did:plc:ada", "ada.example") is True
    assert handle_verified("did:plc:ada", None) is False
    assert handle_verified("4711", None) is None


def test_a_name_is_one_short_line() -> None:
    shown = by_name("1", None, "Ada\nLovelace " * 20)
    assert "\n" not in shown
    assert len(shown) <= LONGEST_NAME
