"""Where a key's records lie: Kafka's own murmur2 placement, the only one that Vigil takes."""

from __future__ import annotations

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


def murmur2(key: bytes) -> int:
    """Return Kafka's murmur2 hash of a key, 32 bits, unsigned."""
    h = (0x9747B28C ^ len(key)) & _MASK
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if rest := key[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition in which a key belongs, of so many.

    Examples
    --------
    >>> [partition_of(f"monitor-{n}".encode(), 4) for n in range(6)]
    [3, 2, 1, 1, 0, 2]
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions
