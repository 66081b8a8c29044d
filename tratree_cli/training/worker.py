"""One process of a launched training: ``python -m tratree_cli.training.worker TASK``.

The first worker tells the stage what happens through files beside the task; what goes wrong in any
of them is written down once, as the sentence a user should read.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tratree_cli.errors import TratreeError


def main(path: Path) -> int:
    """Run the task in ``path``; return the exit code."""
    from tratree_cli.training.launch import read_task, train

    task = read_task(path)
    first = os.environ.get("RANK", "0") == "0"
    reports = path.with_name("progress.jsonl")

    def progress(done: int, total: int, facts: Mapping[str, float]) -> None:
        with reports.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"done": done, "total": total, "facts": dict(facts)}) + "\n")

    try:
        result = train(task, progress)
    except TratreeError as error:
        said = {"kind": type(error).__name__, "message": str(error)}
        _write(path.with_name("error.json"), said)
        return error.exit_code
    if first:
        _write(path.with_name("result.json"), asdict(result))
    return 0


def _write(path: Path, content: Mapping[str, object]) -> None:
    """Whole or not at all: the stage may look at any time."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
