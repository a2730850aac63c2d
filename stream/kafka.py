"""Clients of Kafka, set as delivery needs them: producers that wait for every replica, readers without a group.

`Kafka` is what every client is made from: the keyword arguments of aiokafka that say where the brokers are and how to
speak to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.structs import ConsumerRecord

from stream import tls
from stream.settings import Settings

Kafka = Mapping[str, Any]
MAX_REQUEST_BYTES = 64 * 1024 * 1024
"""Larger than any record of any topic: what a topic takes is its own setting, and the broker's answer."""
COMPRESSION = "zstd"
"""Smaller than lz4 at half its cost: frames to a half. Workers, who write snapshots, take a lighter one."""

MECHANISM = "SCRAM-SHA-512"
PROBE_MS = 5000
"""How long a broker that could not be reached may take once more, to learn why."""


class NotAllowedError(ConnectionError):
    """The brokers know this process, and do not let it do what it asked for."""


class Send(NamedTuple):
    """One record to publish; without a partition its key decides, by murmur2."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def kafka_of(settings: Settings) -> Kafka:
    """Return what every client of Kafka is made from, with TLS and credentials where the settings name them.

    Raises
    ------
    ValueError
        If a file that the settings name is not usable: one line.
    """
    kafka: dict[str, Any] = {"bootstrap_servers": settings.kafka or ""}
    if settings.kafka_security == "plaintext":
        return kafka
    kafka |= {
        "security_protocol": settings.kafka_security.upper(),
        "ssl_context": tls.context(settings.ca, settings.cert, settings.cert_key),
    }
    if settings.kafka_security == "sasl_ssl":
        kafka |= {
            "sasl_mechanism": MECHANISM,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": _password(settings),
        }
    return kafka


def split(kafka: Kafka) -> tuple[str, Kafka]:
    """Return where the brokers are, and apart from it how to speak to them, for who takes the two by themselves."""
    return kafka["bootstrap_servers"], {name: kafka[name] for name in kafka if name != "bootstrap_servers"}


def _password(settings: Settings) -> str:
    if settings.kafka_password is not None:
        return settings.kafka_password.get_secret_value()
    assert settings.kafka_password_file is not None, "settings fit together"
    return settings.kafka_password_file.read_text().strip()


async def start(client: Any, kafka: Kafka) -> None:
    """Start a client; raises ConnectionError, in one line that says why, where no broker can be used."""
    try:
        with allowed():
            await client.start()
    except (KafkaConnectionError, NodeNotReadyError, NotAllowedError) as error:
        with suppress(KafkaError):
            await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
        if isinstance(error, NotAllowedError):
            raise
        raise await unreached(kafka) from error


async def unreached(kafka: Kafka) -> ConnectionError:
    """Connect once more to the brokers that could not be reached, and return the error that says why.

    aiokafka itself only logs it.
    """
    addresses = kafka.get("bootstrap_servers")
    options = {name: value for name, value in kafka.items() if name.startswith(("security_", "ssl_", "sasl_"))}
    why = "does not answer"
    for host, port, _ in collect_hosts(addresses):
        try:
            connection = await create_conn(host, port, request_timeout_ms=PROBE_MS, **options)
        except (OSError, KafkaError, TimeoutError) as error:
            why = _why(error, kafka) or why
            if isinstance(error, KafkaConnectionError) and "ssl_context" in kafka and tls.fault(error) is None:
                why = await tls.heard(host, port, kafka["ssl_context"]) or why
        else:
            if (closed := connection.close()) is not None:
                await asyncio.wait([closed], timeout=1.0)
            why = "takes connections, and ends them: perhaps it wants another VIGIL_KAFKA_SECURITY"
    return ConnectionError(f"kafka at {addresses} {why}")


def _why(error: Exception, kafka: Kafka) -> str | None:
    if isinstance(error, SaslAuthenticationFailed):
        return f"refuses the user {kafka.get('sasl_plain_username')}: unknown, or another password"
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"does not know users there by {MECHANISM}"
    if isinstance(error, IllegalSaslStateError):
        return "takes no user and password there: another port, or VIGIL_KAFKA_SECURITY=ssl"
    if "ssl_context" in kafka and not isinstance(error, ConnectionResetError | ConnectionAbortedError):
        return tls.fault(error)
    if "ssl_context" in kafka:
        return "ends the connection: perhaps it does not speak TLS there"
    if isinstance(error, KafkaConnectionError):
        return "ends the connection: perhaps it wants TLS (VIGIL_KAFKA_SECURITY)"
    return None


class Reader(AIOKafkaConsumer):
    """A consumer that says at once where a topic is not its to read: aiokafka's would ask for 40 s for its offsets."""

    async def beginning_offsets(self, partitions: Any) -> Any:
        """Return the first offset of each partition; raises NotAllowedError."""
        await self._may_see({part.topic for part in partitions})
        return await super().beginning_offsets(partitions)

    async def end_offsets(self, partitions: Any) -> Any:
        """Return the offset behind the last record of each partition; raises NotAllowedError."""
        await self._may_see({part.topic for part in partitions})
        return await super().end_offsets(partitions)

    async def _may_see(self, names: set[str]) -> None:
        for topic in names:
            if self.partitions_for_topic(topic) is None:
                await self._client.add_topic(topic)
                await self._client.force_metadata_update()
        with allowed():
            if hidden := names & self._client.cluster.unauthorized_topics:
                raise TopicAuthorizationFailedError(hidden)


@contextmanager
def allowed() -> Generator[None]:
    """Turn a refusal for want of a right into one line; raises NotAllowedError."""
    try:
        yield
    except TopicAuthorizationFailedError as error:
        raise NotAllowedError(f"kafka does not allow this process the topic {_names(error)}") from error
    except GroupAuthorizationFailedError as error:
        group = _names(error).rpartition(" ")[2]  # some of aiokafka's say more than the name
        raise NotAllowedError(f"kafka does not allow this process the group {group}") from error
    except ClusterAuthorizationFailedError as error:
        raise NotAllowedError("kafka allows this process to write to no topic, nor to administer it") from error


def _names(error: KafkaError) -> str:
    names = error.args[0] if error.args else "that it asked for"
    return names if isinstance(names, str) else ", ".join(sorted(map(str, names)))


@asynccontextmanager
async def producing(kafka: Kafka, **options: Any) -> AsyncGenerator[AIOKafkaProducer]:
    """Yield a started producer: in order, without doubles of its own, acknowledged by all replicas."""
    wanted: dict[str, Any] = {"compression_type": COMPRESSION, **kafka, **options}
    producer = AIOKafkaProducer(enable_idempotence=True, max_request_size=MAX_REQUEST_BYTES, **wanted)
    await start(producer, kafka)
    with allowed():
        try:
            yield producer
        finally:
            await producer.stop()


@asynccontextmanager
async def reading(kafka: Kafka, **options: Any) -> AsyncGenerator[Reader]:
    """Yield a started consumer without a group: it is told what to read and from where, and commits nothing."""
    consumer = Reader(enable_auto_commit=False, **{"fetch_max_wait_ms": 20, **kafka, **options})
    await start(consumer, kafka)
    try:
        with allowed():
            yield consumer
    finally:
        await consumer.stop()


async def durable(producer: AIOKafkaProducer, records: Iterable[Send]) -> None:
    """Publish records and return once the brokers hold all of them; raises aiokafka.errors.KafkaError."""
    with allowed():
        pending = [
            await producer.send(item.topic, item.value, item.key, item.partition, headers=list(item.headers))
            for item in records
        ]
        await asyncio.gather(*pending)


async def read_to_end(
    consumer: AIOKafkaConsumer, topic: str, partitions: Iterable[int], since: int = 0
) -> AsyncIterator[ConsumerRecord]:
    """Yield the records of some partitions, from the first that the log holds to what its end was at the call.

    What is before the offset `since` is left out.

    Offsets are asked for before the assignment and sought explicitly: after `assign`, `seek_to_beginning` with the
    default reset reads nothing, silently.
    """
    parts = [TopicPartition(topic, partition) for partition in partitions]
    first, last = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
    first = {part: max(offset, since) for part, offset in first.items()}
    waiting = {part for part in parts if first[part] < last[part]}
    consumer.assign(parts)
    for part in parts:
        consumer.seek(part, first[part])
    while waiting:
        for part, records in (await consumer.getmany(*waiting, timeout_ms=500)).items():
            for record in records:
                if record.offset < last[part]:
                    yield record
        waiting = {part for part in waiting if await consumer.position(part) < last[part]}
