"""A device in thirty lines: a made-up heart that stops after 12 s. `python producer.py BROKER DEVICE [SPEED]`."""

import array
import asyncio
import math
import sys
import time
import uuid

import msgspec
from aiokafka import AIOKafkaProducer

RATE_HZ, GAIN, SECONDS, STOPS_S = 250, 1000, 24, 12  # gain: counts a millivolt


def millivolts(t: float) -> float:
    """One beat a second: P, QRS and T; nothing once the heart has stopped."""
    waves = ((0.20, 0.1, 0.02), (0.38, -0.1, 0.01), (0.40, 1.0, 0.012), (0.42, -0.2, 0.01), (0.65, 0.25, 0.04))
    return sum(mv * math.exp(-(((t % 1 - at) / width) ** 2)) for at, mv, width in waves) if t < STOPS_S else 0.0


async def main(broker: str, device: str, speed: float = 1.0) -> None:
    """Send a frame a second: MessagePack, the device as key, so that its frames stay in one partition and in order."""
    session, t0_ns = uuid.uuid4().hex, time.time_ns() - 10**9  # a frame is sent once it is full
    async with AIOKafkaProducer(bootstrap_servers=broker, acks="all") as producer:
        for seq in range(SECONDS):
            counts = array.array("h", [round(GAIN * millivolts(seq + i / RATE_HZ)) for i in range(RATE_HZ)])
            if sys.byteorder == "big":
                counts.byteswap()  # frames are little-endian
            lead = {"name": "II", "gain": GAIN, "kind": "ecg", "baseline": 0, "unit": "mV"}
            frame = {"type": "frame", "v": 1, "device": device, "session": session, "seq": seq}
            frame |= {"t0_ns": t0_ns + seq * 10**9, "rate_hz": RATE_HZ, "leads": [lead], "counts": counts.tobytes()}
            await producer.send_and_wait("ecg.input.v1", msgspec.msgpack.encode(frame), key=device.encode())
            await asyncio.sleep(1 / speed)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])))
