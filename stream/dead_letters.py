"""Inputs that could not be accepted: which there are, why, and how to put them into the input again.

A letter holds the bytes as they came, and in headers from where and why. What is put back is marked in the topic of
the letters itself, which has one partition and so one order: first a claim, then, once the input holds it, where. So a
letter is put back once, also where two people ask for it at once, or one was broken off in between; and what is refused
again is a new letter that says of which one it comes.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from stream import topics
from stream.kafka import Kafka, producing, read_to_end, reading
from stream.placement import partition_of

BROKEN_OFF_MS = 60_000
"""A claim without an end that is older than this was broken off."""
LETTER = "dead_letter"
"""Header of a record of the input that was put there again: offset of its letter."""
CLAIM, CLAIMANT, DONE = "retry_claimed", "retry_claimant", "retried"
AS_PARTITION, AS_OFFSET = "retried_as_partition", "retried_as_offset"


class Letter(msgspec.Struct, frozen=True):
    """One input that could not be accepted.

    Attributes
    ----------
    offset : int
        In the topic of dead letters: its name for `retry`.
    time_ns : int
        When it was put there.
    device : str
        The record's key; empty where it had none.
    partition, input_offset : int
        Where it lies in the input.
    reason : str
    size : int
        Bytes of the record.
    retried_as : tuple of (partition, offset) or None
        Where it was put into the input again, if it was.
    of_letter : int or None
        It is one that was put back, and was refused again: the letter that it comes of.
    """

    offset: int
    time_ns: int
    device: str
    partition: int
    input_offset: int
    reason: str
    size: int
    retried_as: tuple[int, int] | None = None
    of_letter: int | None = None


class Retry(msgspec.Struct, frozen=True):
    """What became of letters that were to be put back: where the input has each now; and which were left, and why."""

    put: dict[int, tuple[int, int]]
    left: dict[int, str]


class _Claim(msgspec.Struct):
    claimant: str
    time_ms: int


class _Marks:
    """Which letters were claimed, and where those that were put back are."""

    def __init__(self) -> None:
        self.claims: dict[int, _Claim] = {}
        self.done: dict[int, tuple[int, int]] = {}

    def take(self, record: ConsumerRecord) -> bool:
        """Take a record of the topic; says whether it is a mark, and no letter."""
        said = _headers(record)
        if (claimed := said.get(CLAIM)) is not None:
            old = self.claims.get(int(claimed))
            if old is None or record.timestamp - old.time_ms > BROKEN_OFF_MS:
                self.claims[int(claimed)] = _Claim(said[CLAIMANT], record.timestamp)
        elif (done := said.get(DONE)) is not None:
            self.done[int(done)] = (int(said[AS_PARTITION]), int(said[AS_OFFSET]))
        return CLAIM in said or DONE in said


async def letters(kafka: Kafka) -> list[Letter]:
    """Return all dead letters, oldest first; raises ConnectionError where Kafka or the topic is not there."""
    found, _ = await _read(kafka)
    return found


def about(reason: str) -> str:
    """Return what a reason says without the value that was got, so that like ones can be counted.

    Examples
    --------
    >>> about("rate_hz must be between 100.0 and 1000.0, got 50.0")
    'rate_hz must be between 100.0 and 1000.0'
    """
    return reason.partition(", got ")[0]


def counted(found: Iterable[Letter]) -> dict[str, int]:
    """Return how many letters there are of each reason, the most first."""
    return dict(Counter(about(letter.reason) for letter in found).most_common())


def chosen(
    found: Iterable[Letter], offset: int | None = None, device: str | None = None, reason: str | None = None
) -> list[Letter]:
    """Return those letters that are at an offset, of a device, and whose reason holds a text; whatever is given."""
    return [
        letter
        for letter in found
        if offset in (None, letter.offset) and device in (None, letter.device) and (reason or "") in letter.reason
    ]


async def retry(kafka: Kafka, wanted: Callable[[Letter], bool], *, again: bool = False) -> Retry:
    """Put letters back into the input, each once, under its key and in the partition that this belongs to.

    A letter without a key goes to the partition that it came from.

    Parameters
    ----------
    kafka : Kafka
        How to reach the brokers.
    wanted : callable
        Says which; it is asked about those that there are at the call, so that what is refused again is not looked at.
    again : bool
        Also those that were put back before and refused again, each of which is a letter of its own.

    Raises
    ------
    ConnectionError, aiokafka.errors.KafkaError
        If the brokers are not there, or refuse.
    """
    found, marks = await _read(kafka)
    asked = [letter for letter in found if wanted(letter)]
    left = {letter.offset: why for letter in asked if (why := _why_not(letter, again=again))}
    open_letters = [letter for letter in asked if letter.offset not in left]
    if not open_letters:
        return Retry({}, left)
    put: dict[int, tuple[int, int]] = {}
    partitions = len(await topics.partitions(kafka, topics.INPUT))
    clock = asyncio.get_running_loop().time
    async with producing(kafka) as producer, reading(kafka) as reader:
        began = clock()
        ours = await _claim(kafka, producer, open_letters)
        left |= {each.offset: "somebody else is at it" for each in open_letters if each.offset not in ours}
        async for record in _with_bytes(reader, ours):
            if (clock() - began) * 1000 > BROKEN_OFF_MS / 2:  # from then on somebody else may take the claim
                left[record.offset] = "there was no time for it: ask again in a minute"
                continue
            partition = _partition(record, partitions)
            place = await _put_before(kafka, record.offset, partition, marks.claims.get(record.offset))
            put[record.offset] = place or await _put(producer, record, partition)
            partition, offset = put[record.offset]
            await _mark(producer, record.key, {DONE: record.offset, AS_PARTITION: partition, AS_OFFSET: offset})
    return Retry(put, left)


def _why_not(letter: Letter, *, again: bool) -> str:
    """Return why a letter is not put back; nothing where it is."""
    if letter.retried_as is not None:
        return f"was put back: partition {letter.retried_as[0]}, offset {letter.retried_as[1]}"
    if letter.of_letter is not None and not again:
        return f"is letter {letter.of_letter}, which was put back and refused again: name its offset to do so once more"
    return ""


async def _read(kafka: Kafka) -> tuple[list[Letter], _Marks]:
    """Read the topic once: the letters without their bytes, and the marks."""
    marks = _Marks()
    async with reading(kafka) as reader:
        records = read_to_end(reader, topics.DEAD_LETTERS, [0])
        plain = [_letter(record) async for record in records if not marks.take(record)]
    came_of = {place: offset for offset, place in marks.done.items()}
    return [
        msgspec.structs.replace(
            letter,
            retried_as=marks.done.get(letter.offset),
            of_letter=came_of.get((letter.partition, letter.input_offset)),
        )
        for letter in plain
    ], marks


def _letter(record: ConsumerRecord) -> Letter:
    said = _headers(record)
    return Letter(
        record.offset,
        record.timestamp * 1_000_000,
        (record.key or b"").decode(errors="replace"),
        int(said.get("partition", -1)),
        int(said.get("offset", -1)),
        said.get("reason", ""),
        len(record.value or b""),
    )


def _headers(record: ConsumerRecord) -> dict[str, str]:
    return {name: value.decode(errors="replace") for name, value in record.headers}


async def _claim(kafka: Kafka, producer: AIOKafkaProducer, wanted: Sequence[Letter]) -> set[int]:
    """Claim letters, and return the offsets of those that nobody claimed before, as the topic has it."""
    me = uuid.uuid4().hex
    for letter in wanted:
        await _mark(producer, letter.device.encode() or None, {CLAIM: letter.offset, CLAIMANT: me})
    _, marks = await _read(kafka)
    ours = {offset for offset, claim in marks.claims.items() if claim.claimant == me}
    return ours - marks.done.keys()


async def _with_bytes(reader: AIOKafkaConsumer, offsets: set[int]) -> AsyncIterator[ConsumerRecord]:
    """Yield the letters at these offsets as they lie in the topic."""
    if offsets:
        async for record in read_to_end(reader, topics.DEAD_LETTERS, [0], min(offsets)):
            if record.offset in offsets:
                yield record


async def _put_before(kafka: Kafka, letter: int, partition: int, claim: _Claim | None) -> tuple[int, int] | None:
    """Return where a letter lies in the input, if one whose claim was broken off has put it there all the same."""
    if claim is None:
        return None
    part, name = TopicPartition(topics.INPUT, partition), (LETTER, str(letter).encode())
    async with reading(kafka) as reader:
        since = (await reader.offsets_for_times({part: claim.time_ms}))[part]
        if since is not None:
            async for record in read_to_end(reader, topics.INPUT, [partition], since.offset):
                if name in record.headers:
                    return partition, record.offset
    return None


async def _put(producer: AIOKafkaProducer, record: ConsumerRecord, partition: int) -> tuple[int, int]:
    """Put a letter's bytes into the input, and return where, once the brokers hold them."""
    headers = [(LETTER, str(record.offset).encode())]
    sent = await producer.send_and_wait(topics.INPUT, record.value, record.key, partition, headers=headers)
    return sent.partition, sent.offset


def _partition(record: ConsumerRecord, partitions: int) -> int:
    if record.key is not None:
        return partition_of(record.key, partitions)
    return int(_headers(record).get("partition", 0))


async def _mark(producer: AIOKafkaProducer, key: bytes | None, headers: Mapping[str, object]) -> None:
    named = [(name, str(value).encode()) for name, value in headers.items()]
    await producer.send_and_wait(topics.DEAD_LETTERS, b"", key, 0, headers=named)
