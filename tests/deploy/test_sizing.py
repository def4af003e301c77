"""The tables of docs/sizing.md are what the script prints, and more of anything never needs less."""

from dataclasses import replace
from pathlib import Path

from bench.kept import figures_kept
from deploy import sizing
from deploy.sizing import AGENCIES, ASSUMPTIONS, Agency

DOC = Path(__file__).parents[2] / "docs" / "sizing.md"


def test_the_document_has_what_the_script_prints() -> None:
    assert sizing.markdown(figures_kept()) in DOC.read_text(), "put what `python -m deploy.sizing` prints into it"


def test_each_assumption_has_a_reason() -> None:
    assert all(len(each.reason.split()) > 5 for each in ASSUMPTIONS.values())


def test_more_followers_and_more_interactions_need_more() -> None:
    figures = figures_kept()
    for agency in AGENCIES:
        its = sizing.size(agency, figures)
        for more in (
            replace(agency, followers_per_brand=2 * agency.followers_per_brand),
            replace(agency, interactions_per_follower_day=2 * agency.interactions_per_follower_day),
        ):
            larger = sizing.size(more, figures)
            assert larger.disks > its.disks
            assert larger.partitions >= its.partitions
            assert larger.workers >= its.workers
            assert larger.mongodb > its.mongodb


def test_the_sum_is_as_by_hand() -> None:
    storage = {
        **{f"{name}_cpu_us_per_interaction": 1_000 for name in (*sizing.PROCESSES, "kafka", "mongodb")},
        **{
            f"{where}_bytes_per_{what}": 1_000
            for where in ("log", "changelog", "rocksdb", "mongodb", "mongodb_index")
            for what in ("follower", "interaction")
        },
        "control_bytes_per_partition_second": 0,
    }
    agency = Agency(100, followers_per_brand=10_000, interactions_per_follower_day=0.864)
    its = sizing.size(
        agency,
        {
            "storage": storage,
            "clocks": {"open": 432_000, "memory_gib": 1, "ready_on_an_empty_disk_after_seconds": 1},
            "remembered": {"topic_bytes_each": 500, "copy_bytes_each": 600},
        },
    )
    assert its.peak_per_second == 100  # 10 a second, and ten times as many at the peak
    assert (its.cores["scorer"], its.workers, its.partitions) == (0.2, 2, 4)
    assert its.log == 864_000 * 90 * 1_000 / 1e9
    assert its.remembered == 864_000 * 365 / 5 * 500 * 2 / 1e9
    assert its.ingest_volume == 864_000 * 365 / 5 * 600 / 1e9 / 0.6
    assert its.mongodb == 2 * (1_000_000 + 864_000 * 365) * 1_000 / 1e9
    assert its.worker_memory == 1.5  # half of the interactions open a clock, and the other worker may be away
