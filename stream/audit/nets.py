"""The networks that an audit needs, loaded from the log by the hash of their weights: old ones are there as well."""

from __future__ import annotations

from stream import topics
from stream.audit.log import Log
from stream.look import Net
from stream.nets import UnknownWeightsError, load_net


class Nets(dict[str, Net]):
    """The networks that setups may name, loaded from the log by the sha256 of their weights.

    Parameters
    ----------
    log : Log
    """

    def __init__(self, log: Log, *given: tuple[str, Net]) -> None:
        super().__init__(given)
        self._log = log

    async def load(self, wanted: set[str]) -> None:
        """Load those that the log has; a setup that names another one is refused, as it was when it came.

        Raises
        ------
        ValueError
            If the log has weights that this version does not know.
        """
        if not wanted:
            return
        for partition, (first, end) in (await self._log.bounds(topics.WEIGHTS)).items():
            async for batch in self._log.read(topics.WEIGHTS, partition, first, end):
                for entry in batch:
                    if (entry.key or b"").decode(errors="replace") in wanted and entry.value:
                        self._take(entry.value)

    def _take(self, value: bytes) -> None:
        try:
            sha256, net = load_net(value)
        except UnknownWeightsError:
            raise
        except ValueError:  # no worker could load it either
            return
        self[sha256] = net
