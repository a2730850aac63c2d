"""What a worker says of its work: metrics, reasons why it is not ready, a log line for each alert."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from ecg.alert import decode_alert
from stream.batch import Out, Record
from stream.health import Health

LATE_S = 10.0
"""A worker is not ready while it has more to take, and the newest that it took was appended so long ago."""

log = structlog.get_logger("worker")


class Watch:
    """Metrics and readiness of one worker.

    Parameters
    ----------
    health : Health
        What the process says of itself.
    wall : callable
        Seconds since 1970, as the brokers' clock shows them.
    """

    def __init__(self, health: Health, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._taken_s: dict[int, float] = {}
        self._behind: dict[int, int] = {}
        self._kept_s: dict[tuple[int, bytes], float] = {}
        self._stopped: set[int] = set()
        self._records = health.counter("records", "Records of the input taken")
        self._frames = health.counter("frames", "Frames accepted")
        self._windows = health.counter("windows", "Windows that a network has seen")
        self._alerts = health.counter("alerts", "Alerts published")
        self._seals = health.counter("seals", "Seals published")
        self._dead = health.counter("dead_letters", "Inputs that could not be accepted")
        self._withheld = health.counter("withheld_letters", "Inputs of devices in quarantine that were counted alone")
        self.jumps = health.counter("offset_jumps", "Times that a partition's offsets were not contiguous")
        self.strays = health.counter("stray_records", "Records dropped that came out of their turn after a restore")
        self._fed = health.seconds("pipeline", "Time of a batch in the pipeline")
        self._stored = health.seconds("durable", "Time until a batch was durable")
        self._delay = health.seconds("alert_delay", "From an alert's last input in the log to the alert in the log")
        self._restoring = health.gauge("restore_seconds", "Time of the last restore")
        self._lag = health.gauge("lag_records", "Records of the input that are not taken yet", ("partition",))
        self._stops = health.gauge("partitions_stopped", "Partitions stopped, as too many of their devices fail")
        oldest = health.gauge("snapshot_age_seconds", "Time since the oldest of the devices' newest snapshots")
        oldest.set_function(self._oldest_s)
        health.also(self._why_not_ready)

    def forget(self) -> None:
        """No partition is this worker's."""
        for held in (self._taken_s, self._behind, self._kept_s, self._stopped):
            held.clear()
        self._lag.clear()
        self._stops.set(0)

    def restored(self, seconds: float) -> None:
        """Note how long a restore took."""
        self._restoring.set(seconds)

    def holds(self, keys: Iterable[tuple[int, bytes]]) -> None:
        """Note whose snapshots were restored."""
        self._kept_s |= dict.fromkeys(keys, time.monotonic())

    def took(self, records: Sequence[Record], out: Out, fed_s: float, stored_s: float) -> None:
        """Note a batch that is durable."""
        now, wall_s = time.monotonic(), self._wall()
        for partition, key, value in out.snapshots:
            if value is None:
                self._kept_s.pop((partition, key), None)
            else:
                self._kept_s[partition, key] = now
        self._taken_s |= {record.partition: record.append_ns / 1e9 for record in records}
        self._stopped |= out.stopped
        self._stops.set(len(self._stopped))
        self._records.inc(len(records))
        self._frames.inc(out.frames)
        self._windows.inc(out.windows)
        self._alerts.inc(len(out.alerts))
        self._seals.inc(len(out.seals))
        self._dead.inc(len(out.dead))
        self._withheld.inc(sum(out.withheld.values()))
        self._fed.observe(fed_s)
        self._stored.observe(stored_s)
        self._say({(record.partition, record.offset): record.append_ns / 1e9 for record in records}, out, wall_s)

    def _say(self, appended_s: Mapping[tuple[int, int], float], out: Out, wall_s: float) -> None:
        for _, value in out.alerts:
            alert = decode_alert(value)
            at = (alert.source.partition, alert.source.last_offset)
            if at in appended_s:
                self._delay.observe(max(0.0, wall_s - appended_s[at]))
            said = {"condition": alert.condition, "phase": alert.phase, "partition": at[0], "offset": at[1]}
            log.info("alert", device=alert.device, alert=alert.id, **said)

    def behind(self, records: Mapping[int, int]) -> None:
        """Note by partition how many records the log has that are not taken yet."""
        self._behind = dict(records)
        for partition, count in records.items():
            self._lag.labels(str(partition)).set(count)

    def _oldest_s(self) -> float:
        return time.monotonic() - min(self._kept_s.values(), default=time.monotonic())

    def _why_not_ready(self) -> str:
        if self._stopped:
            return f"stopped: partition {', '.join(map(str, sorted(self._stopped)))}, too many of its devices fail"
        for partition, count in sorted(self._behind.items()):
            late_s = self._wall() - self._taken_s.get(partition, self._wall())
            if count and late_s > LATE_S:
                return f"lag: partition {partition} is {count} records behind, {late_s:.0f} s"
        return ""
