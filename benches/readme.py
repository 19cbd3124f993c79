"""`python -m benches.readme FIGURES.json PEERS.json`: the numbers of the README, from the files of two runs.

Copies the files to `docs/measurements/`, and writes the tables between the README's markers from the copies. A test
compares the two, so that no number is changed by hand.
"""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

from benches import results, table
from benches.peers import table as peers
from benches.peers.result import Result

README = Path("README.md")
MEASUREMENTS = Path("docs/measurements")
FIGURES = "figures.json"
PEERS = "peers.json"
BEGIN = "<!-- numbers: python -m benches.readme -->"
END = "<!-- end of numbers -->"
_BETWEEN = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)


def section(measurements: Path) -> str:
    """What stands between the markers: nothing while there are no measurements."""
    told: list[str] = []
    if (measurements / FIGURES).is_file():
        content, figures = results.read(measurements / FIGURES)
        told += ["", "### Against what the machine allows", "", _made_on(content, "make bench"), ""]
        told += [*table.markdown(figures), ""]
    if (measurements / PEERS).is_file():
        content, _ = results.read(measurements / PEERS)
        compared = [Result(**one) for one in content["peers"]]
        told += ["", "### Beside other stores", "", _made_on(content, "make bench-peers"), ""]
        told += [PEERS_NOTE, "", *_not_leading(compared), "", *peers.markdown(compared), ""]
    return "\n".join(told) + "\n" if told else ""


PEERS_NOTE = (
    "Every store had its turn in every round; shown is the best of the rounds, the best of each column in bold. "
    "Batches of 2000. *Acknowledged*: from the first upload to the last answer; *indexed*: to the moment when all "
    "rows are in the graph. Each searches as narrow as recall@10 of 0.98 allows. *Found after*: from the answer to a "
    "row to the end of the first search that finds it, the slowest of twenty. A document is 100 rows, replaced by 90. "
    "*Peak memory*: of the server's processes, or by how much the program that holds the store grew."
)


_SEARCHES = (
    "searches: the libraries answer what the graph measured, ours scores 32 candidates again with float32"
)

#: Why ours is behind in a column where the cause is how stores are made, whatever a run shows.
_WHY = {
    "recall@10": "recall: each is as narrow as the rule allows, what differs are the steps of `ef`",
    "searches/s, 1 client": _SEARCHES,
    "searches/s, 2 clients": _SEARCHES,
    "bytes on disk a row": "bytes: ours keeps every vector as it was sent, 1,536 bytes, beside codes and graph; "
    "usearch keeps bf16 only",
    "peak memory, MB": "memory: the libraries hold vectors and graph, no log, catalogue or threads",
    "found after, ms": "found after: in memory nothing is synced before the answer",
    "delete a document, ms": "delete: in memory it is a mark, ours is on stable storage",
}


def replaced(readme: str, measurements: Path) -> str:
    """The README with the section of these measurements."""
    if len(_BETWEEN.findall(readme)) != 1:
        raise ValueError(f"the README needs {BEGIN} and {END} once, in this order")
    return _BETWEEN.sub(lambda _: section(measurements), readme)


def _made_on(content: dict[str, Any], command: str) -> str:
    here = content["machine"]
    return (
        f"`{command}`, {here['date'][:10]}, commit {here['commit']}: {here['processor']}, {here['cores']} cores, "
        f"{here['memory_gb']} GB, {here['system']}, Python {here['python']}. Vectors: {content['data']}."
    )


def _not_leading(compared: list[Result]) -> list[str]:
    behind = peers.behind(compared)
    if not behind:
        return ["Ours leads every column."]
    columns = [column for column in _WHY if any(one.startswith(f"{column} (") for one in behind)]
    why = dict.fromkeys(_WHY[column] for column in columns)
    because = f" Why: {'; '.join(why)}." if why else ""
    return [f"**Where ours does not lead**: {'; '.join(behind)}.{because}"]


def main(arguments: list[str]) -> int:
    """Exit code 2 without the two files."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    MEASUREMENTS.mkdir(parents=True, exist_ok=True)
    for source, name in zip(arguments, (FIGURES, PEERS), strict=True):
        if Path(source).resolve() != (MEASUREMENTS / name).resolve():
            shutil.copyfile(source, MEASUREMENTS / name)
    README.write_text(replaced(README.read_text(), MEASUREMENTS))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
