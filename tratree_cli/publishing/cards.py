"""The README of a published dataset or model: what it is, from what, how good, under which licence.

The front matter is the hub's; its values are written as JSON, which is YAML. A card says nothing
that the store does not record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli import __version__
from tratree_cli.display.headlines import headline
from tratree_cli.display.text import one_line
from tratree_cli.methods.registry import title

if TYPE_CHECKING:
    from tratree_store import Entry, Store

EMBEDDED_LICENCE = "apache-2.0"
"""Of the texts and weights that ship with tratree, and of what is made from nothing else."""


@dataclass(frozen=True)
class Published:
    """An artifact that is published, with what it was made from (inputs first, itself last)."""

    entry: Entry
    lineage: Sequence[Entry]

    @property
    def config(self) -> Mapping[str, Any]:
        return self.entry.provenance.get("config") or {}

    @property
    def environment(self) -> str:
        return str(self.config.get("env", {}).get("name") or "")

    @property
    def called(self) -> str:
        label = str(self.entry.provenance.get("label") or self.entry.stage)
        return headline(self.entry.kind, {}, label, title)

    def base_model(self) -> str:
        """What it was trained from, as the recipe names it; never a path of this machine."""
        role = str(self.entry.provenance.get("role") or "strong")
        name = one_line(str(self.config.get("models", {}).get(role) or ""))
        local = name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).is_dir()
        return "a local model" if local else name

    def own_material(self) -> bool:
        """Whether nothing but texts and models that ship with tratree went into it."""
        from tratree_cli.models.load import EMBEDDED

        bases = self.config.get("models") or {}
        models = {bases.get("weak", "?"), bases.get("strong", "?")}
        embedded = self.config.get("env", {}).get("data") == "embedded"
        foreign = any(e.stage == "import" or e.summary.get("external") for e in self.lineage)
        return embedded and not foreign and (self.entry.kind == "demos" or models <= set(EMBEDDED))


def published(store: Store, entry: Entry) -> Published:
    """``entry`` with its lineage."""
    return Published(entry, list(store.lineage([entry]).entries.values()))


def licence_of(items: Sequence[Published], given: str | None) -> str:
    """The licence that was given, else ours where all of it is ours, else ``other``."""
    if given:
        return given
    return EMBEDDED_LICENCE if all(item.own_material() for item in items) else "other"


def dataset_card(items: Mapping[str, Published], licence: str) -> str:
    """The card of a dataset whose configurations are ``items`` (name → artifact)."""
    found = list(items.values())
    head = {
        "license": licence,
        "tags": ["tratree", "agent", *sorted({item.environment for item in found} - {""})],
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": "train", "path": f"{name}/train.jsonl"}],
            }
            for name in items
        ],
    }
    lines = [
        _front(head),
        "# " + ", ".join(dict.fromkeys(item.called for item in found)),
        "",
        f"Made with tratree {__version__}"
        + "".join(f" in {name}" for name in sorted({i.environment for i in found} - {""}))
        + ".",
        "",
        "| configuration | what | rows |",
        "|---|---|---|",
        *(f"| `{name}` | {_headline(item.entry)} | {_LAYOUT[item.entry.kind]} |"
          for name, item in items.items()),
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        *(f'{name.replace("-", "_")} = load_dataset("FOLDER_OR_REPOSITORY", "{name}", '
          'split="train")' for name in items),
        "```",
        *_lineage(found),
        *_licence(licence, found),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


_LAYOUT = {
    "rollouts": "a conversation each, with score, success, actions and scores after each step",
    "demos": "a conversation each, with score, success, actions and scores after each step",
    "pairs": "TRL's preference layout: `prompt`, `chosen`, `rejected`, and both scores",
    "paths": "TRL's conversational layout: `messages`, and the score",
}


def model_card(item: Published, evaluations: Sequence[Entry], licence: str, usage: str) -> str:
    """The card of a model; ``evaluations`` are those of exactly these weights."""
    base = item.base_model()
    head: dict[str, Any] = {
        "license": licence,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["tratree", "agent", *([item.environment] if item.environment else [])],
    }
    if base.count("/") == 1:
        head["base_model"] = base.partition("@")[0]
    if evaluations:
        head["model-index"] = [
            {"name": item.called, "results": [_result(entry) for entry in evaluations]}
        ]
    lines = [_front(head), f"# {item.called}", ""]
    lines.append(
        f"Trained with tratree {__version__}"
        + (f" for {item.environment}" if item.environment else "")
        + (f" from `{base}`." if base else ".")
    )
    lines += ["", "```python", usage, "```", "", "## Evaluation", ""]
    if evaluations:
        lines += [
            "| environment | split | average reward [95 % interval] | success | tasks |",
            "|---|---|---|---|---|",
            *map(_evaluation_row, evaluations),
            "",
            "Rewards are times 100; intervals are bootstrapped over tasks.",
        ]
    else:
        lines.append("The store from which this was written holds no evaluation of these weights.")
    lines += [*_lineage([item]), *_licence(licence, [item])]
    return "\n".join(lines) + "\n"


def _result(entry: Entry) -> dict[str, Any]:
    environment, split = _where(entry)
    metrics = [("average_reward", "average reward"), ("success_rate", "success rate")]
    return {
        "task": {"type": "text-generation", "name": "acting in a text environment"},
        "dataset": {"type": environment, "name": f"{environment} ({split})", "split": split},
        "metrics": [
            {"type": key, "name": name, "value": entry.summary[key]}
            for key, name in metrics
            if key in entry.summary
        ],
    }


def _where(entry: Entry) -> tuple[str, str]:
    environment = entry.document.get("environment") or {}
    split = (entry.document.get("params") or {}).get("split", "")
    return one_line(str(environment.get("name", ""))), one_line(str(split))


def _evaluation_row(entry: Entry) -> str:
    environment, split = _where(entry)
    summary = entry.summary
    low, high = summary.get("interval") or (None, None)
    reward = f"{summary['average_reward']:.1f}" if "average_reward" in summary else ""
    interval = "" if low is None or high is None else f" [{low:.1f}, {high:.1f}]"
    success = f"{summary['success_rate']:.1f} %" if "success_rate" in summary else ""
    cells = (environment, split, reward + interval, success, str(summary.get("tasks", "")))
    return f"| {' | '.join(cells)} |"


def _lineage(items: Sequence[Published]) -> list[str]:
    entries = {entry.recipe: entry for item in items for entry in item.lineage}
    recipes = sorted({str(item.config.get("recipe") or "") for item in items} - {""})
    named = f"Recipe `{', '.join(map(one_line, recipes))}`. " if recipes else ""
    return [
        "",
        "## Lineage",
        "",
        f"{named}Inputs before what was made of them; a recipe digest identifies stage, settings "
        "and inputs.",
        "",
        "| stage | what | artifact | recipe digest |",
        "|---|---|---|---|",
        *(
            f"| {one_line(entry.stage)} | {_headline(entry)} | `{entry.kind}:{entry.object[:16]}` "
            f"| `{entry.recipe[:16]}` |"
            for entry in entries.values()
        ),
    ]


def _licence(licence: str, items: Sequence[Published]) -> list[str]:
    words = f"`{licence}`."
    if licence == "other":
        bases = sorted({item.base_model() for item in items} - {""})
        named = f" ({', '.join(f'`{base}`' for base in bases)})" if bases else ""
        words = (
            f"Follows the licences of the environment's data and of the models{named}: "
            "say which before you publish (`--license`)."
        )
    return ["", "## Licence", "", words]


def _headline(entry: Entry) -> str:
    label = str(entry.provenance.get("label") or entry.stage)
    return headline(entry.kind, entry.summary, label, title).replace("|", "\\|")


def _front(values: Mapping[str, Any]) -> str:
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---", ""])
