"""`python -m tests.fuzz`: nonsense through the codec and the whole path; ends with one JSON object."""

from __future__ import annotations

import argparse
import json
import sys

from tests.fuzz.codec import codec
from tests.fuzz.whole import MOST_SNAPSHOT, whole


def main() -> int:
    """Run what the command line asks for; 1 where a neighbour was changed or a snapshot outgrew its bound."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--codec", type=int, default=0, help="mutants through the codec")
    parser.add_argument("--whole", type=int, default=0, help="records of nonsense through the whole pipeline")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    found = {"codec": codec(asked.codec, asked.seed)} if asked.codec else {}
    if asked.whole:
        found["whole"] = whole(asked.whole, asked.seed)
    print(json.dumps(found))
    bad = found.get("whole", {})
    return int(bad.get("neighbours_changed", 0) > 0 or bad.get("largest_snapshot_bytes", 0) > MOST_SNAPSHOT)


if __name__ == "__main__":
    sys.exit(main())
