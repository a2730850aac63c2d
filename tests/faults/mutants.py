"""Ways to break what delivery rests on, each of which the trials must find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from stream import topics
from stream.batch import Out, Record
from stream.kafka import durable
from stream.pipeline import PARTITION_KEY, Pipeline
from stream.store import Store

Broken = Callable[[], AbstractContextManager[Any]]


def _fence_open() -> AbstractContextManager[Any]:
    """What Redis holds already is written again."""
    return _script("if held or below then", "if false then")


def _script(sound: str, broken: str) -> AbstractContextManager[Any]:
    made = Store.__init__

    def init(self: Store, *arguments: Any) -> None:
        made(self, *arguments)
        assert sound in self._source
        self._source = self._source.replace(sound, broken)

    return mock.patch.object(Store, "__init__", init)


def _alerts_not_awaited() -> AbstractContextManager[Any]:
    """Snapshots are written while alerts are still on their way."""

    async def hasty(producer: Any, records: Iterable[Any]) -> None:
        sends = list(records)
        if any(send.topic == topics.ALERTS for send in sends):
            for send in sends:
                await producer.send(send.topic, send.value, send.key, send.partition)
        else:
            await durable(producer, sends)

    return mock.patch("stream.worker.durable", hasty)


def _one_too_far() -> AbstractContextManager[Any]:
    """A restored partition goes on one record behind where it should."""
    restore = Pipeline.restore

    def further(self: Pipeline, *arguments: Any) -> int | None:
        resume = restore(self, *arguments)
        return None if resume is None else resume + 1

    return mock.patch.object(Pipeline, "restore", further)


def _partition_first() -> AbstractContextManager[Any]:
    """The partition's own row is written before those of its devices."""
    feed = Pipeline.feed

    def reordered(self: Pipeline, records: list[Record]) -> Out:
        out = feed(self, records)
        out.snapshots.sort(key=lambda row: row[1] != PARTITION_KEY)
        return out

    return mock.patch.object(Pipeline, "feed", reordered)


def _own_row_alone() -> AbstractContextManager[Any]:
    """A partition resumes where its own row ends, whatever its devices' rows cover."""
    restore = Pipeline.restore

    def ahead(self: Pipeline, partition: int, rows: Mapping[bytes, bytes], *more: Any) -> int | None:
        resume = restore(self, partition, rows, *more)
        return None if resume is None else 1 + self._partitions[partition].covers

    return mock.patch.object(Pipeline, "restore", ahead)


def _rollback_unnoticed() -> AbstractContextManager[Any]:
    """The publisher does not compare its position with Redis's."""
    return _script("if stored < tonumber(ARGV[1]) then", "if false then")


def _leaves_for_good() -> AbstractContextManager[Any]:
    """A device is taken off a bed with all that is there of it, whoever has put it there since."""
    leave = Store.leave
    return mock.patch.object(Store, "leave", lambda self, device, place, before=0: leave(self, device, place))


MUTANTS: dict[str, Broken] = {
    "fence open": _fence_open,
    "alerts not awaited": _alerts_not_awaited,
    "one too far": _one_too_far,
    "partition first": _partition_first,
    "own row alone": _own_row_alone,
    "rollback unnoticed": _rollback_unnoticed,
    "leaves for good": _leaves_for_good,
}
