"""The heap of a partition, held against a plain dictionary."""

from hypothesis import given
from hypothesis import strategies as st

from services.scorer.exchanges.deadlines import Deadlines

keys = st.sampled_from([b"a", b"b", b"c"])
steps = st.one_of(
    st.tuples(st.just("note"), keys, st.one_of(st.none(), st.integers(0, 20))),
    st.tuples(st.just("pop"), st.just(b""), st.integers(0, 20)),
    st.tuples(st.sampled_from(["commit", "roll back"]), st.just(b""), st.none()),
)


@given(told=st.lists(steps, max_size=40))
def test_it_is_a_dictionary_whose_earliest_can_be_taken_and_whose_changes_can_be_undone(
    told: list[tuple[str, bytes, int | None]],
) -> None:
    deadlines, plain, committed = Deadlines(), dict[bytes, int](), dict[bytes, int]()
    for what, key, at in told:
        if what == "note":
            deadlines.note(key, at)
            plain.pop(key, None)
            if at is not None:
                plain[key] = at
        elif what == "pop":
            assert at is not None
            taken = deadlines.pop(at)
            expected = min(((time, name) for name, time in plain.items() if time <= at), default=None)
            assert taken == (expected[1] if expected else None)
            if taken is not None:
                del plain[taken]
        elif what == "commit":
            deadlines.committed()
            committed = dict(plain)
        else:
            deadlines.rolled_back()
            plain = dict(committed)
        assert len(deadlines) == len(plain)
        assert deadlines.due(21) or not plain
