"""The networks that the log puts into force, loaded from the log: what a worker must have before it joins its group.

A setup whose weights are not in the log, or are no weights at all, is refused by the pipeline, by every worker alike.
One that this worker alone cannot load, as it lacks torch or is of an older version, ends this worker: the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

import structlog
from aiokafka import TopicPartition

from stream import topics
from stream.batch import Record
from stream.kafka import Kafka, read_to_end, reading
from stream.look import Net
from stream.nets import UnknownWeightsError, load_net
from stream.newest import newest_rows
from stream.pipeline import Pipeline
from stream.snapshot import PARTITION_KEY, SchemaError

AHEAD = 20_000
"""So many records of each partition, behind the newest snapshots, are searched for setups before a worker joins."""
PAGE = 1000

log = structlog.get_logger("worker")
Answer = TypeVar("Answer")


class WeightsError(Exception):
    """The log names weights that this worker cannot load: it must not be in the group."""


class Nets:
    """The networks that are loaded, by the sha256 of their weights.

    Parameters
    ----------
    kafka : Kafka
        How to reach the brokers.
    thread : Executor or None
        Where to load them; None: in the thread of the event loop's own pool.

    Attributes
    ----------
    loaded : dict of str to Net
    """

    def __init__(self, kafka: Kafka, thread: Executor | None = None) -> None:
        self._kafka, self.thread = kafka, thread
        self.loaded: dict[str, Net] = {}

    async def load(self, wanted: set[str], *, must: bool) -> None:
        """Load networks from the log; with `must` all of them are in force, and have to be there.

        Raises
        ------
        WeightsError
            If weights are in the log that this worker cannot load; with `must`, also if there are none.
        """
        if not wanted:
            return
        for sha256, data in (await self._bytes(wanted)).items():
            try:
                really, net = await self._run(load_net, data)
            except (UnknownWeightsError, ImportError) as error:
                raise WeightsError(f"weights {sha256[:12]} cannot be loaded by this worker: {error}") from error
            except ValueError as error:
                if must:
                    raise WeightsError(f"weights {sha256[:12]} cannot be loaded: {error}") from error
                log.error("weights_unusable", sha256=sha256, error=str(error))
            else:
                self.loaded[really] = net
        if must and (missing := wanted - self.loaded.keys()):
            raise WeightsError(f"weights {', '.join(sorted(sha[:12] for sha in missing))} are in force, not in the log")

    async def _bytes(self, wanted: set[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        async with reading(self._kafka, max_partition_fetch_bytes=16_777_216) as reader:
            async for record in read_to_end(reader, topics.WEIGHTS, [0]):
                if (sha256 := (record.key or b"").decode(errors="replace")) in wanted and record.value is not None:
                    found[sha256] = record.value
        return found

    async def _run(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self.thread, function, *arguments)


async def load_in_force(kafka: Kafka, partitions: range, nets: Nets) -> None:
    """Load what is in force in any partition of the input, or is about to be, without a look at any device.

    Raises
    ------
    WeightsError
        As of `Nets.load`.
    """
    pipeline = Pipeline(nets.loaded)
    async with reading(kafka, max_partition_fetch_bytes=16_777_216) as reader:
        rows = await newest_rows(reader, list(partitions))
    resume: dict[int, int] = {}
    for p, own in rows.items():
        with suppress(SchemaError):  # the worker says so when it restores; here only the first setups of the log count
            resume[p] = pipeline.restore(p, {key: own[key] for key in own if key == PARTITION_KEY}) or 0
    await nets.load(pipeline.missing_weights([]), must=True)
    await nets.load(await _named_behind(kafka, partitions, pipeline, resume), must=False)


async def _named_behind(kafka: Kafka, partitions: range, pipeline: Pipeline, resume: Mapping[int, int]) -> set[str]:
    """Return the weights that setups name which no snapshot covers yet, and that are not loaded."""
    named: set[str] = set()
    parts = [TopicPartition(topics.INPUT, p) for p in partitions]
    async with reading(kafka, auto_offset_reset="earliest") as reader:
        first, end = await reader.beginning_offsets(parts), await reader.end_offsets(parts)
        starts = {part: max(first[part], resume.get(part.partition, 0)) for part in parts}
        stops = {part: min(end[part], starts[part] + AHEAD) for part in parts}
        reader.assign(parts)
        for part in parts:
            reader.seek(part, starts[part])
        while waiting := [part for part in parts if await reader.position(part) < stops[part]]:
            for part, records in (await reader.getmany(*waiting, timeout_ms=500, max_records=PAGE)).items():
                page = [Record(part.partition, record.offset, record.key, record.value or b"") for record in records]
                named |= pipeline.missing_weights(page)
    return named
