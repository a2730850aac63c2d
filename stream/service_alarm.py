"""Alarms that a service raises of itself, in the topic of all alerts: what it cannot do for the wards any more.

Such an alert belongs to a device that no frame comes from, `vigil:<name>`, and stands on the ward of those that nobody
admitted; its source is the alert topic itself, as no input gave it. Its times are the wall's.
"""

from __future__ import annotations

from collections import deque
from importlib.metadata import version

import msgspec

from ecg import alert as message
from ecg.alarm import UNASSIGNED
from ecg.alert import Alert, Evidence, Source
from ecg.condition import CONDITIONS, Finding, words
from ecg.frame import SERVICE
from stream.topics import ALERTS

VERSION = version("vigil-ecg")


class ServiceAlarms:
    """The alarms of one service, each raised once while it lasts, with a chain of their own.

    Two services of one name would make two chains of one: each process needs its own.

    Parameters
    ----------
    name : str
        Of the service; its bed is called so.

    Attributes
    ----------
    outbox : deque of bytes
        Alerts that are not known to be in the log yet, in order; whoever sends them takes them out.

    Examples
    --------
    >>> alarms = ServiceAlarms("publisher")
    >>> alarms.start(Finding("store_down", 0, 5.1, 5.0, "s"), 100), alarms.start(Finding("store_down", 1), 101)
    (True, False)
    >>> alarms.end("store_down", 2, 102), [message.decode_alert(value).phase for value in alarms.outbox]
    (True, ['start', 'end'])
    """

    def __init__(self, name: str) -> None:
        self.name, self.device = name, SERVICE + name
        self.outbox: deque[bytes] = deque()
        self._open: dict[str, Alert] = {}
        self._chain = ""
        self._place = (-1, -1)

    @property
    def open(self) -> frozenset[str]:
        """The conditions that are alarmed on."""
        return frozenset(self._open)

    def saw(self, value: bytes) -> None:
        """Take an alert of this service as it came out of the log: an earlier process may have raised it."""
        alert = message.decode_alert(value)
        place = (alert.source.last_offset, alert.ordinal)
        if alert.device != self.device or alert.source.topic != ALERTS or place <= self._place:
            return
        self._place, self._chain = place, message.chain_hash(value)
        self._note(alert)

    def start(self, finding: Finding, end: int, first: int | None = None) -> bool:
        """Raise an alarm unless it is there, and say whether it was not.

        Parameters
        ----------
        finding : Finding
            What is wrong.
        end : int
            The end of the alert topic, as far as known.
        first : int, optional
            The offset in it that the alarm is about.
        """
        if finding.condition in self._open:
            return False
        episode = message.episode_id(self.device, finding.condition, finding.onset_ns)
        condition, ordinal = CONDITIONS[finding.condition], self._ordinal(end)
        self._put(
            Alert(
                id=message.alert_id(episode, 0),
                episode=episode,
                n=0,
                ordinal=ordinal,
                chain=self._chain,
                device=self.device,
                bed=self.name,
                ward=UNASSIGNED,
                condition=condition.name,
                code=condition.code,
                priority=condition.priority,
                text=words(finding),
                phase="start",
                presence="on",
                onset_ns=finding.onset_ns,
                decided_ns=finding.onset_ns,
                value=None if finding.value is None else round(finding.value, 3),
                limit=finding.limit,
                unit=finding.unit,
                risk=None,
                evidence=Evidence(trace=finding.trace),
                source=Source(ALERTS, 0, end if first is None else first, max(end, self._place[0])),
                weights_sha256=(),
                settings_sha256="",
                version=VERSION,
            )
        )
        return True

    def end(self, condition: str, now_ns: int, end: int) -> bool:
        """End an alarm that is there, and say whether it was."""
        last = self._open.get(condition)
        if last is None:
            return False
        self._put(
            msgspec.structs.replace(
                last,
                id=message.alert_id(last.episode, last.n + 1),
                n=last.n + 1,
                ordinal=self._ordinal(end),
                chain=self._chain,
                phase="end",
                presence="off",
                decided_ns=now_ns,
                source=Source(ALERTS, 0, last.source.first_offset, max(end, self._place[0])),
                version=VERSION,
            )
        )
        return True

    def _ordinal(self, end: int) -> int:
        """Return the next number at a place, so that the order of alerts is strict."""
        return 0 if end > self._place[0] else self._place[1] + 1

    def _put(self, alert: Alert) -> None:
        value = message.encode(alert)
        self.outbox.append(value)
        self._place, self._chain = (alert.source.last_offset, alert.ordinal), message.chain_hash(value)
        self._note(alert)

    def _note(self, alert: Alert) -> None:
        if alert.presence == "off":
            self._open.pop(alert.condition, None)
        else:
            self._open[alert.condition] = alert
