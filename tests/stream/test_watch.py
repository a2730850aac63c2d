"""What a worker says of its work."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from stream.batch import Out, Record
from stream.health import Health
from stream.watch import LATE_S, Watch


def record(partition: int, offset: int, append_s: float) -> Record:
    return Record(partition, offset, b"device", b"", round(append_s * 1e9))


def metrics(health: Health) -> dict[str, float]:
    families = text_string_to_metric_families(health.answer("/metrics")[2].decode())
    return {s.name + "".join(s.labels.values()): s.value for family in families for s in family.samples}


def test_a_worker_that_has_fallen_behind_is_not_ready_until_it_has_caught_up() -> None:
    health, wall = Health("worker"), [1000.0]
    watch = Watch(health, wall=lambda: wall[0])
    watch.took([record(0, 7, 1000.0)], Out(), 0.01, 0.01)
    health.ready()
    watch.behind({0: 30})
    assert health.why_not_ready() == "", "a backlog of now is none"
    wall[0] += LATE_S + 1
    assert health.why_not_ready() == "lag: partition 0 is 30 records behind, 11 s"
    watch.took([record(0, 37, 1011.0)], Out(), 0.01, 0.01)
    watch.behind({0: 0})
    assert health.why_not_ready() == ""
    assert metrics(health)["vigil_worker_lag_records0"] == 0


def test_a_stopped_partition_is_told_until_the_next_assignment() -> None:
    health = Health("worker")
    watch = Watch(health)
    health.ready()
    watch.took([record(3, 1, 0.0)], Out(stopped={3}), 0.01, 0.01)
    assert health.why_not_ready().startswith("stopped: partition 3,")
    assert metrics(health)["vigil_worker_partitions_stopped"] == 1
    watch.forget()
    assert health.why_not_ready() == ""


def test_the_age_of_snapshots_is_that_of_the_device_whose_own_is_oldest() -> None:
    health = Health("worker")
    watch = Watch(health)
    watch.took([record(0, 1, 0.0)], Out(snapshots=[(0, b"a", b"x"), (0, b"b", b"x")]), 0.01, 0.01)
    aged = metrics(health)["vigil_worker_snapshot_age_seconds"]
    watch.took([record(0, 2, 0.0)], Out(snapshots=[(0, b"a", b"x"), (0, b"b", None)]), 0.01, 0.01)
    assert 0 <= metrics(health)["vigil_worker_snapshot_age_seconds"] < aged + 0.01
    watch.forget()
    assert metrics(health)["vigil_worker_snapshot_age_seconds"] < 0.01
