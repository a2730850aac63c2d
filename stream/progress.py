"""Whether a worker that lives, and keeps its place in the group, still takes what the log has for it.

A client that has lost its way after an outage of the brokers may beat its heart for ever and fetch nothing: its beds
are blind, and nobody takes them over. Such a worker has to end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from stream import topics
from stream.kafka import Kafka, reading

PATIENCE_S = 20.0
"""A partition of which nothing was taken for so long stands still, if its log has more: a tick comes every second."""
BUSY_S = 60.0
"""The same while it is at work on something, a restore or a batch: that may take long, but not for ever."""
ASK_S = 5.0
"""Brokers that do not say within this time where the log ends are themselves away, which is no fault of this worker."""


class StuckError(RuntimeError):
    """A partition stands still although its log goes on; what this process holds is void."""


class Progress:
    """Notices partitions that stand still.

    Parameters
    ----------
    kafka : Kafka
        How to reach the brokers.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(self, kafka: Kafka, clock: Callable[[], float] = time.monotonic) -> None:
        self._kafka, self._clock = kafka, clock
        self._seen: dict[int, tuple[int, float]] = {}

    async def check(self, assigned: Iterable[int], taken: Mapping[int, int], *, busy: bool = False) -> None:
        """Note how far the partitions are that the group has given this worker; to be called every second.

        Parameters
        ----------
        assigned : iterable of int
            The partitions, but for those that were stopped.
        taken : mapping of int to int
            By partition, the offset that is next; one that is not in it was never begun.
        busy : bool
            Whether the worker is at work on something.

        Raises
        ------
        StuckError
            If one of them stands still.
        """
        now = self._clock()
        at = {partition: taken.get(partition, 0) for partition in assigned}
        self._seen = {p: self._seen[p] if self._seen.get(p, (-1,))[0] == n else (n, now) for p, n in at.items()}
        patience_s = BUSY_S if busy else PATIENCE_S
        still = [p for p, (_, since) in self._seen.items() if now - since > patience_s]
        if not still:
            return
        for partition, end in (await self._ends(still)).items():
            if end > at[partition]:
                raise StuckError(
                    f"partition {partition} must go on, got nothing behind offset {at[partition]} of {end} "
                    f"for {patience_s:.0f} s"
                )
        self._seen.clear()  # from now on: an outage is over, or there is nothing to take

    async def _ends(self, partitions: list[int]) -> dict[int, int]:
        """Return where the log of each partition ends; nothing where no broker says so."""
        parts = [TopicPartition(topics.INPUT, partition) for partition in partitions]
        try:
            async with asyncio.timeout(ASK_S), reading(self._kafka) as reader:
                return {part.partition: end for part, end in (await reader.end_offsets(parts)).items()}
        except (KafkaError, ConnectionError, TimeoutError):
            return {}
