"""Keys are placed as Kafka places them."""

from __future__ import annotations

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from stream.placement import murmur2 as ours
from stream.placement import partition_of


@given(st.binary(max_size=80))
def test_the_hash_is_that_of_the_client(key: bytes) -> None:
    assert ours(key) == murmur2(key) & 0xFFFFFFFF


@given(st.binary(min_size=1, max_size=64), st.integers(1, 64))
def test_a_key_lies_in_a_partition_that_there_is(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions
