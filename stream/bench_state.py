"""`vigil bench state`: what snapshots cost: their size, their share of a worker's time, a restore from a real broker.

The share is that of processor time: writing snapshots and sending them, over all that the pipeline and its sending
take; a worker's own reading of the log is left out, so that the share is rather too high than too low. Before the
restores rows are written at the ward's pace for a while, so that compaction is at work on the topic.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaProducer

from ecg.clinical import Settings as Clinical
from ecg.frame import Frame, Setup, Tick, encode
from simulators.fleet import bedsides, merged
from stream import topics
from stream.batch import Record
from stream.bed import SNAPSHOT_EVERY_NS
from stream.bench import FRAME_S, LEADS, hearts
from stream.client import put_weights
from stream.embedded import Services
from stream.health import Health
from stream.inforce import Nets, load_in_force
from stream.kafka import Kafka, Send, durable, producing
from stream.nets import load_net, read_weights
from stream.pipeline import Pipeline
from stream.placement import partition_of
from stream.process import configure_logs
from stream.settings import Settings
from stream.snapshot import PARTITION_KEY
from stream.worker import COMPRESSION, SEND_BYTES, Worker

T0_NS = 1_800_000_000_000_000_000
LIMITS = {2: 64_000, 12: 512_000}
"""Bytes that a device's row must stay under, by leads."""
SHARE_PERCENT, RESTORE_S, RESTORES = 5.0, 1.0, 5
WARM_UP_S = 12


@dataclass
class _Spent:
    """Processor time in seconds, and rows, since the warm-up."""

    fed_s: float = 0.0
    sent_s: float = 0.0
    rows_sent_s: float = 0.0
    rows: int = 0
    sizes: list[int] = field(default_factory=list)


def state(settings: Settings, beds: int, seconds: int, writing_s: int, leads: int, json: bool) -> int:
    """Measure, and print what came of it.

    Returns
    -------
    int
        Exit status: 1 where a row, the share or the restore is over its limit.
    """
    configure_logs(settings.log)
    with Services(settings) as services:
        asyncio.run(topics.create(services.clients))
        figures = asyncio.run(_measured(services.clients, beds, seconds, writing_s, leads))
    good = (
        figures["snapshot_bytes_max"] < LIMITS.get(leads, LIMITS[12])
        and figures["snapshot_share_percent"] < SHARE_PERCENT
        and figures["restore_s_median"] < RESTORE_S
    )
    if json:
        print(msgspec.json.encode({"figures": figures}).decode())
    else:
        for name, value in figures.items():
            print(f"{name:26} {value}")
    return 0 if good else 1


async def _measured(kafka: Kafka, beds: int, seconds: int, writing_s: int, leads: int) -> dict[str, float]:
    weights = read_weights("shipped")
    sha256, net = load_net(weights)
    await put_weights(kafka, weights)
    pipeline, spent = Pipeline({sha256: net}), _Spent()
    async with producing(kafka, max_batch_size=SEND_BYTES, compression_type=COMPRESSION) as producer:
        for second, batch in enumerate(_batches(beds, LEADS[:leads], sha256, seconds)):
            await durable(producer, [Send(topics.INPUT, r.key, r.value, r.partition) for r in batch])
            spent = _Spent() if second == WARM_UP_S else spent
            await _take(pipeline, producer, batch, spent)
        began = time.process_time()
        rows = {p: pipeline.snapshot(p) for p in range(topics.INPUT_PARTITIONS)}
        row_s = (time.process_time() - began) / sum(len(own) for own in rows.values())
        print(f"fed {beds} beds for {seconds} s; writing their rows for {writing_s} s", file=sys.stderr, flush=True)
        written = await _write(producer, rows, writing_s)
        took_s, cpu_s = zip(*[await _restore(kafka, producer) for _ in range(RESTORES)], strict=True)
    snapshots_s = spent.rows * row_s + spent.rows_sent_s
    return {
        "beds": beds,
        "leads": leads,
        "snapshot_bytes_median": statistics.median(spent.sizes),
        "snapshot_bytes_max": max(spent.sizes),
        "snapshot_cpu_us": round(1e6 * row_s, 1),
        "snapshot_send_cpu_us": round(1e6 * spent.rows_sent_s / spent.rows, 1),
        "snapshots_per_s": round(spent.rows / (seconds - WARM_UP_S), 1),
        "snapshot_share_percent": round(100 * snapshots_s / (spent.fed_s + spent.sent_s + spent.rows_sent_s), 2),
        "state_mb_written": round(written / 1e6, 1),
        "state_mb_live": round(sum(len(row) for own in rows.values() for row in own.values()) / 1e6, 1),
        "restore_s_median": round(statistics.median(took_s), 3),
        "restore_s_max": round(max(took_s), 3),
        "restore_cpu_s_median": round(statistics.median(cpu_s), 3),
    }


def _batches(beds: int, leads: Sequence[str], sha256: str, seconds: int) -> Iterator[list[Record]]:
    """Give the log of a ward, a second at a time, each record at the offset that it will have in Kafka."""
    ends = [0] * topics.INPUT_PARTITIONS

    def record(partition: int, key: bytes | None, entry: Frame | Setup | Tick) -> Record:
        ends[partition] += 1
        return Record(partition, ends[partition] - 1, key, encode(entry))

    setup = Setup("bench", "snapshots", T0_NS, Clinical(), {"net": sha256}, unsigned=True)
    batch = [record(partition, None, setup) for partition in range(len(ends))]
    second = 0
    for due_s, device, frame in merged(bedsides(hearts(tuple(leads), 250.0), beds, T0_NS, FRAME_S), seconds):
        if due_s > second + 1:
            second += 1
            tick = Tick("bench", second, T0_NS + second * 1_000_000_000)
            yield [*batch, *(record(partition, None, tick) for partition in range(len(ends)))]
            batch = []
        key = device.encode()
        batch.append(record(partition_of(key, len(ends)), key, frame))


async def _take(pipeline: Pipeline, producer: AIOKafkaProducer, batch: list[Record], spent: _Spent) -> None:
    """Feed and publish as a worker does, the rows by themselves."""
    began = time.process_time()
    out = pipeline.feed(batch)
    fed = time.process_time()
    await durable(producer, [Send(topics.ALERTS, key, value) for key, value in out.alerts])
    await durable(producer, [Send(topics.VITALS, key, value) for key, value in out.vitals])
    sent = time.process_time()
    await durable(producer, [Send(topics.STATE, key, value, partition) for partition, key, value in out.snapshots])
    spent.rows_sent_s += time.process_time() - sent
    spent.fed_s, spent.sent_s = spent.fed_s + fed - began, spent.sent_s + sent - fed
    spent.rows += len(out.snapshots)
    spent.sizes += [len(value or b"") for _, key, value in out.snapshots if key != PARTITION_KEY]


async def _write(producer: AIOKafkaProducer, rows: dict[int, dict[bytes, bytes]], seconds: int) -> int:
    """Write every row again in each 5 s, as the ward would, and the partitions' own each second; return the bytes."""
    slots, written, started = SNAPSHOT_EVERY_NS // 1_000_000_000, 0, time.monotonic()
    for second in range(seconds):
        due = [
            Send(topics.STATE, key, row, partition)
            for partition, own in rows.items()
            for n, (key, row) in enumerate(own.items())
            if n % slots == second % slots or key == PARTITION_KEY
        ]
        await durable(producer, due)
        written += sum(len(item.value or b"") for item in due)
        await asyncio.sleep(max(0.0, started + second + 1 - time.monotonic()))
    return written


async def _restore(kafka: Kafka, producer: AIOKafkaProducer) -> tuple[float, float]:
    """Return the seconds that a new worker takes for all partitions, of the wall's and of processors.

    As in service, its network is loaded before.
    """
    nets = Nets(kafka)
    await load_in_force(kafka, range(topics.INPUT_PARTITIONS), nets)
    worker = Worker(kafka, producer, Health("bench"), nets)
    began, cpu_began = time.monotonic(), time.process_time()
    await worker.restore(range(topics.INPUT_PARTITIONS))
    return time.monotonic() - began, time.process_time() - cpu_began
