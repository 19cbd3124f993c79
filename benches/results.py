"""The file of one run: machine, date, figures."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benches.figure import Figure
from benches.machine import Machine

FOLDER = Path(".bench")


def write(
    machine: Machine, data: str, figures: list[Figure], peers: list[dict[str, Any]] | None = None
) -> Path:
    """Writes `.bench/<date>.json` (`.bench/<date>-peers.json` when there are `peers`)."""
    FOLDER.mkdir(exist_ok=True)
    ending = "-peers" if peers is not None else ""
    file = FOLDER / f"{machine.date.replace(':', '')}{ending}.json"
    content: dict[str, Any] = {"machine": asdict(machine), "data": data}
    content["figures"] = [asdict(one) for one in figures]
    if peers is not None:
        content["peers"] = peers
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file


def read(file: Path) -> tuple[dict[str, Any], list[Figure]]:
    """The whole content, and its figures."""
    content = json.loads(file.read_text())
    return content, [Figure(**one) for one in content["figures"]]
