"""Devices that do not exist, on a network that loses, doubles, delays and garbles what they send."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ecg.frame import Frame, encode
from simulators.bedside import Framer
from simulators.heart import Heart
from simulators.schedule import Segment
from simulators.source import Source

RATE_HZ = 100.0
T0_NS = 1_800_000_040_000_000_000
"""The virtual clock's start, UTC: 20 s before a minute of the ward's time, at which chains are sealed."""
SCRIPTS: dict[str, tuple[Segment, ...]] = {
    "vt": (("sinus", 9, {}), ("ventricular_tachycardia", 8, {}), ("sinus", 13, {})),
    "flat": (("sinus", 7, {}), ("asystole", 8, {}), ("sinus", 9, {"rate_bpm": 84.0})),
    "slow": (("sinus", 10, {"rate_bpm": 44.0}), ("sinus", 12, {"rate_bpm": 76.0})),
    "off": (("sinus", 26, {}),),
    "fast": (("sinus", 8, {}), ("sinus", 14, {"rate_bpm": 150.0})),
}
"""What each device's heart does, over and over."""


@functools.cache
def source(name: str) -> Source:
    """Return one lead of a device's heart."""
    made = Heart(SCRIPTS[name], ("II",), RATE_HZ, seed=len(name)).source(name)
    if name != "off":
        return made
    off = np.zeros(made.counts.shape, bool)
    off[:, 800:1300] = True
    return Source(made.name, made.rate_hz, made.leads, made.counts, made.loop_to, off, made.pacer)


@dataclass
class Network:
    """How often a frame is doubled, held back, lost or garbled on its way."""

    doubled: float = 0.04
    late: float = 0.05
    lost: float = 0.01
    garbled: float = 0.01


class Monitor:
    """One device, which sends from the virtual clock's start on.

    Attributes
    ----------
    silent_until_s : float
        Frames that end before are never sent.
    """

    def __init__(self, name: str, seed: int, network: Network, deliver: Callable[[str, bytes], None]) -> None:
        self.name = name
        self._draw, self._network, self._deliver = random.Random(seed), network, deliver
        self._frame_s = self._draw.choice((0.5, 1.0, 1.0, 2.0))
        self._restarts, self._restart = 0, False
        self.silent_until_s = 0.0
        self.garble = 0

    def restart(self) -> None:
        """Begin a new session with the next frame."""
        self._restart = True

    async def send(self) -> None:
        """Send for ever."""
        at, seq, framer = 0, 0, self._framer()
        loop = asyncio.get_running_loop()
        while True:
            n = round(self._frame_s * RATE_HZ)
            if self._draw.random() < 0.1:  # cut otherwise
                n = self._draw.randint(4, 200)
            if self._restart:
                self._restart, self._restarts, seq = False, self._restarts + 1, 0
                framer = self._framer()
            frame = framer.frame(seq, at, n)
            at, seq = at + n, seq + 1
            await asyncio.sleep(max(0.0, at / RATE_HZ - loop.time()))
            if loop.time() >= self.silent_until_s:
                self._transmit(frame)

    def _framer(self) -> Framer:
        return Framer(source(self.name), self.name, T0_NS, self._frame_s, f"s{self._restarts}")

    def _transmit(self, frame: Frame) -> None:
        draw, network = self._draw, self._network
        if draw.random() < network.lost:
            return
        value = encode(frame)
        if self.garble or draw.random() < network.garbled:
            self.garble = max(0, self.garble - 1)
            at = draw.randrange(len(value))
            value = value[:at] + draw.randbytes(draw.randint(0, 4)) + value[at + draw.randint(1, 4) :]
        for _ in range(2 if draw.random() < network.doubled else 1):
            late_s = draw.random() * 3.5 if draw.random() < network.late else draw.random() * 0.05
            asyncio.get_running_loop().call_later(late_s, self._deliver, self.name, value)
