"""When an account was connected: what came before is backfilled, and what waits at the end waits no more."""

import itertools

from rapport.domain.exchanges.connection import Connection


def connection(*told: tuple[int, bool]) -> Connection:
    """Told when it was connected (True) and disconnected."""
    made = Connection()
    for at, connected in told:
        made.note(at, connected=connected)
    return made


def test_an_account_of_which_nothing_is_known_is_connected() -> None:
    assert Connection().live(5)
    assert Connection().ended_after(5) is None


def test_what_happened_before_and_between_two_connections_was_not_live() -> None:
    told = [(10, True), (20, False), (30, True)]
    for order in itertools.permutations(told):
        known = connection(*order)
        assert [known.live(at) for at in (9, 10, 19, 20, 29, 30, 99)] == [False, True, True, False, False, True, True]
        assert [known.ended_after(at) for at in (9, 20, 21)] == [20, 20, None]


def test_the_same_news_is_taken_in_once() -> None:
    known = Connection()
    assert known.note(10, connected=True)
    assert not known.note(10, connected=True)
    assert known.note(10, connected=False)
