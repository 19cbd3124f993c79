"""`python -m benches.compare OLD.json NEW.json`: which figures got worse; exit code 1 if one did by more than 20 %."""

import sys
from pathlib import Path

from benches import results
from benches.figure import number

TOLERATED = 0.20


def main(arguments: list[str]) -> int:
    """Compares ratios only: they are what holds from one hour of a machine to the next."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    (_, old), (_, new) = (results.read(Path(file)) for file in arguments)
    before = {(one.row, one.name): one for one in old}
    worse = 0
    for one in new:
        then = before.pop((one.row, one.name), None)
        if then is None:
            print(f"new      {one.name}: {number(one.value)} {one.unit}")
            continue
        ratio = one.value / then.value if then.value else float("inf")
        change = ratio if one.better == "higher" else 1 / ratio if ratio else float("inf")
        regressed = change < 1 - TOLERATED
        worse += regressed
        print(
            f"{'WORSE' if regressed else 'ok':<8} {one.name}: {number(then.value)} -> {number(one.value)} {one.unit}"
        )
    for gone in before.values():
        print(f"gone     {gone.name}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
