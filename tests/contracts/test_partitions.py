"""How many partitions an installation has."""

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from rapport import partitions
from rapport.contracts.topics import ALERTS_DEAD, BRANDS, CATALOGUE, CHARGES, CONVERSATIONS, CURSORS, ERRANDS
from rapport.kit.config import ServiceSettings


@pytest.fixture(autouse=True)
def _read_again() -> Iterator[None]:
    partitions.of_installation.cache_clear()
    yield
    partitions.of_installation.cache_clear()


def test_topics_without_a_count_of_their_own_have_as_many_as_the_setting_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAPPORT_PARTITIONS", "48")
    assert {topic.partitions for topic in CATALOGUE if topic.fixed is None} == {48}
    assert {topic.name: topic.partitions for topic in CATALOGUE if topic.fixed} == {
        BRANDS.name: 1,
        CURSORS.name: 12,
        ERRANDS.name: 12,
        CHARGES.name: 1,
    }
    assert (BRANDS.partitions, CONVERSATIONS.partitions, ALERTS_DEAD.partitions) == (1, 48, 48)


@pytest.mark.parametrize("given", ["0", "-4", "513", "4.5", "four", "", "4,8", "1e2"])
def test_another_number_is_refused_and_named(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("RAPPORT_PARTITIONS", given)
    for read in (partitions.of_installation, lambda: ServiceSettings(port=1)):
        with pytest.raises(ValidationError, match="partitions"):
            read()
