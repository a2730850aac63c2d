"""`python -m tests.faults`: seeded trials of faults; ends with one JSON object, status 1 where one was not passed."""

from __future__ import annotations

import argparse
import json
import sys

from tests.faults.trial import trials


def main() -> int:
    """Run the trials that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first trial; each one after it has the next")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print the object alone")
    asked = parser.parse_args()

    def progress(done: int) -> None:
        if not asked.json and done % 100 == 0:
            print(f"{done} of {asked.trials} trials", file=sys.stderr, flush=True)

    found = trials(asked.trials, asked.seed, asked.processes, progress)
    failed = found["failed_seeds"]
    if not asked.json:
        for seed, said in failed.items():
            print(f"seed {seed}: {said[0]}" + (f" and {len(said) - 1} more" if said[1:] else ""))
    print(json.dumps(found | {"failed_seeds": sorted(failed)}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
