"""The worker as a Faust app: one group over the input, partitions restored from snapshots at every assignment.

Where Faust's own ways lose or double records, this departs from them: events are taken by `noack_take` and acknowledged
in order once what came of them is durable; a partition resumes from its snapshots, never from the committed offset,
which only shows the lag; events of an earlier assignment are dropped; any error ends the process.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, NamedTuple, TypeVar

import faust
import structlog
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.auth import CredentialsT

from stream import topics
from stream.batch import Record
from stream.health import Health
from stream.inforce import Nets, WeightsError
from stream.kafka import Kafka, kafka_of, producing
from stream.process import configure_logs, new_event_loop
from stream.progress import Progress, StuckError
from stream.settings import Settings
from stream.signing import signer_of
from stream.worker import COMPRESSION, SEND_BYTES, Worker, prepare

BATCH, WITHIN_S = 2000, 0.02
"""Most events that are taken together, and how long to wait for them."""
BATCH_BYTES = 4_194_304
"""Most that goes through the pipeline at once: compiled code holds up the heartbeats of the group while it runs."""
SESSION_S, HEARTBEAT_S = 6, 0.3
"""The shortest session that brokers take unless told otherwise; at its next heartbeat a worker learns that one left."""
FETCH_MIN_BYTES, FETCH_MAX_WAIT_MS = 1_000_000, 50
"""The cost of reading is per fetch, not per record: 1,000 records/s take 85 % of a core without these."""
MS_NS = 1_000_000
DEAD_AFTER_S = 10.0
"""A process that has failed and does not end by itself is ended."""

log = structlog.get_logger("worker")
Item = TypeVar("Item")


class Options(NamedTuple):
    """How a worker takes part: in which group, and how many records it takes together at most."""

    group: str = topics.GROUP
    batch: int = BATCH


class _Thread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer: Any = super()._create_worker_consumer(transport)
        consumer._fetch_min_bytes, consumer._fetch_max_wait_ms = FETCH_MIN_BYTES, FETCH_MAX_WAIT_MS  # Faust has neither
        return consumer


class _Consumer(driver.Consumer):
    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Seek to where the snapshots end; what is returned is what was sought, else commits would never advance."""
        resume: Mapping[int, int] = self.app.resume  # pyright: ignore[reportAttributeAccessIssue]
        mine = {part: resume[part.partition] for part in self.assignment() if part.partition in resume}
        if mine:
            await self.seek_wait(mine)
        return mine


class _Transport(driver.Transport):
    Consumer = _Consumer


class App(faust.App):
    """A Faust app that knows where its partitions resume.

    Attributes
    ----------
    resume : dict of int to int
        Partition to next offset, as the last restore found it.
    restored : int
        The group's generation that this restore was for; events of another one are dropped.
    status : int
        Exit status of the process.
    """

    resume: dict[int, int]
    restored: int
    status: int

    def _new_transport(self) -> driver.Transport:
        return _Transport(self.conf.broker_consumer, self)  # pyright: ignore[reportArgumentType]


def build(settings: Settings, health: Health, folder: str, options: Options, nets: Nets) -> App:
    """Return the app, ready to run; `folder` is for Faust, which keeps nothing in it."""
    kafka = kafka_of(settings)
    app = App(
        options.group,
        broker=[f"kafka://{address}" for address in (settings.kafka or "").split(",")],
        broker_credentials=_credentials(kafka),
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_commit_interval=0.5,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        producer_acks=-1,
        store="memory://",
        web_enabled=False,
        datadir=folder,
        key_serializer="raw",
        value_serializer="raw",
    )
    app.resume, app.restored, app.status = {}, -1, 0
    _wire(app, settings, kafka, health, options.batch, nets)
    return app


def _credentials(kafka: Kafka) -> CredentialsT | None:
    """Return what Faust's own clients show to the brokers; SSLCredentials without a context are a TypeError."""
    match kafka.get("security_protocol"):
        case "SSL":
            return faust.SSLCredentials(context=kafka["ssl_context"])
        case "SASL_SSL":
            user, password = kafka["sasl_plain_username"], kafka["sasl_plain_password"]
            return faust.SASLCredentials(
                username=user, password=password, ssl_context=kafka["ssl_context"], mechanism=kafka["sasl_mechanism"]
            )
        case _:
            return None


def _wire(app: App, settings: Settings, kafka: Kafka, health: Health, batch: int, nets: Nets) -> None:
    source = app.topic(topics.INPUT, key_type=bytes, value_type=bytes, acks=True)
    signer = signer_of(settings.key)
    exits = AsyncExitStack()
    held: dict[str, Worker] = {}

    @app.on_rebalance_complete.connect  # pyright: ignore[reportArgumentType]
    async def restore(sender: object, **_: object) -> None:
        """Faust awaits this before anything flows."""
        try:
            if "worker" not in held:
                producer = await exits.enter_async_context(
                    producing(kafka, max_batch_size=SEND_BYTES, compression_type=COMPRESSION)
                )
                await exits.enter_async_context(health.served(settings.health_host, settings.health_port))
                held["worker"] = Worker(kafka, producer, health, nets, signer)
                exits.callback(asyncio.create_task(watch(Progress(kafka))).cancel)
            generation = app.consumer_generation_id
            parts = [part.partition for part in app.consumer.assignment() if part.topic == topics.INPUT]
            app.resume = await held["worker"].restore(parts)
            app.restored = generation
            health.ready()
        except Exception as error:
            await fail(app, error)

    async def watch(progress: Progress) -> None:
        """End this process where it keeps a partition and does nothing for it; Faust's own timers are not asked."""
        while True:
            await asyncio.sleep(1.0)
            worker = held["worker"]
            parts = {part.partition for part in app.consumer.assignment() if part.topic == topics.INPUT}
            try:
                await progress.check(parts - worker.stopped, worker.next, busy=worker.turn.locked())
            except StuckError as error:
                await fail(app, error)
                return

    @app.agent(source, concurrency=1)
    async def process(stream: Any) -> None:
        async for events in stream.noack_take(batch, within=WITHIN_S):
            try:
                await _take(app, held["worker"], stream, events)
            except Exception as error:
                await fail(app, error)
                return

    @app.timer(1.0)
    async def look() -> None:
        """Note how far behind this worker is; one which no partition was left for is ready to take one over."""
        if app.restored < 0:
            return
        if not app.resume:
            health.ready()
        ends = {}
        for partition in app.resume:
            with suppress(AssertionError):  # while the group is rebalancing a partition may be nobody's
                ends[partition] = app.consumer.highwater(TP(topics.INPUT, partition)) or 0
        taken = held["worker"].next
        held["worker"].watch.behind({p: max(0, end - taken[p]) for p, end in ends.items() if p in taken})

    @app.on_before_shutdown.connect  # pyright: ignore[reportArgumentType]
    async def close(sender: object, **_: object) -> None:
        """Faust sends this when it fetches nothing more, and leaves the group only afterwards."""
        if "worker" in held:
            await held["worker"].close()
        await exits.aclose()


async def _take(app: App, worker: Worker, stream: Any, events: list[Any]) -> None:
    async with worker.turn:
        if worker.closed:
            return
        current = {app.consumer_generation_id} & {app.restored}
        ours = [event for event in events if event.message.generation_id in current]
        fresh = [event for event in ours if event.message.partition not in worker.stopped]  # no ack for the others
        for part in bounded(fresh, lambda event: len(event.message.value or b"")):
            await worker.take([_record(event.message) for event in part])
            for event in part:
                await stream.ack(event)


def bounded(items: Sequence[Item], size: Callable[[Item], int], most: int = BATCH_BYTES) -> Iterator[list[Item]]:
    """Cut items, in order, into lists of at most so many bytes together, each of at least one item.

    >>> list(bounded([4, 4, 4, 9], int, most=8))
    [[4, 4], [4], [9]]
    """
    part: list[Item] = []
    total = 0
    for item in items:
        if part and total + size(item) > most:
            yield part
            part, total = [], 0
        part.append(item)
        total += size(item)
    if part:
        yield part


def _record(message: Any) -> Record:
    append_ns = round(message.timestamp * 1000) * MS_NS  # Faust gives the broker's milliseconds as seconds
    return Record(message.partition, message.offset, message.key, message.value or b"", append_ns)


async def fail(app: App, error: Exception) -> None:
    """End the process: state that an error went through is not to be trusted, a restart restores."""
    absent = isinstance(error, WeightsError | ConnectionError)
    app.status = 3 if absent else 1
    log.error("worker_failed", error=str(error), exc_info=None if absent else error)
    asyncio.get_running_loop().call_later(DEAD_AFTER_S, os._exit, app.status)
    await app.crash(error)


def run_worker(settings: Settings, group: str = topics.GROUP, batch: int = BATCH) -> int:
    """Run `vigil worker` until it is asked to end, and return its exit status: 3 where weights cannot be loaded.

    Raises
    ------
    ConnectionError, ValueError
        If Kafka or its topics are not as `stream.worker.prepare` needs them.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    configure_logs(settings.log)
    try:
        nets = asyncio.run(prepare(kafka_of(settings)))
    except WeightsError as error:
        log.error("worker_cannot_join", reason=str(error))
        return 3
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    with tempfile.TemporaryDirectory(prefix="vigil-") as folder:
        app = build(settings, Health("worker"), folder, Options(group, batch), nets)
        worker = faust.Worker(
            app, loop=loop, quiet=True, redirect_stdouts=False, override_logging=False, workdir=os.getcwd()
        )
        worker.spinner = None
        try:
            worker.execute_from_commandline()
        except SystemExit as end:
            return app.status or (1 if end.code else 0)
    return app.status
