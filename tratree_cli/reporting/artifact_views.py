"""Every kind of artifact as ``tratree show`` prints it: views, records, and what a loss scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tratree_cli.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from rich.console import RenderableType
    from tratree_store import Entry, Store

    from tratree_cli.formats.trees import TreeFile


def artifact_view(store: Store, entry: Entry, task: str | None) -> RenderableType:
    """What a person sees of one artifact that is no tree."""
    if entry.kind in ("demos", "rollouts"):
        return _episodes(store, entry, task)
    if entry.kind == "pairs":
        from tratree_cli.display.pairs import pair_view, pairs_view
        from tratree_cli.formats.pairs import read_pairs

        pairs = read_pairs(entry.path)
        return pairs_view(pairs) if task is None else pair_view(_pick(pairs.pairs, task, entry))
    if entry.kind == "paths":
        from tratree_cli.display.paths import path_view, paths_view
        from tratree_cli.formats.paths import read_paths

        paths = read_paths(entry.path)
        return paths_view(paths) if task is None else path_view(_pick(paths.paths, task, entry))
    if entry.kind == "evaluation":
        if task is not None:
            return _episodes(store, entry, task)
        return _evaluation(entry)
    if entry.kind == "model":
        return _model(entry)
    if entry.kind == "report":
        from tratree_cli.reporting.render.terminal import render
        from tratree_cli.reporting.report_stage import document_of

        return render(document_of(store, entry), None)
    from tratree_cli.display.summaries import facts

    return facts(dict(entry.summary))


def _episodes(store: Store, entry: Entry, task: str | None) -> RenderableType:
    from rich.console import Group

    from tratree_cli.display.show_rollouts import rollouts_view, trajectory_view
    from tratree_cli.formats.rollouts import read_rollouts
    from tratree_cli.reporting import lineage

    rollouts = read_rollouts(entry.path)
    if task is None:
        models = lineage.inputs(store, entry, "policy")
        return rollouts_view(rollouts, called={m.object: _called(m, "model") for m in models})
    found = [t for t in rollouts.trajectories if t.task == task]
    if not found:
        _pick(rollouts.trajectories, task, entry)
    return Group(*(trajectory_view(rollouts, trajectory) for trajectory in found))


def _evaluation(entry: Entry) -> RenderableType:
    """The file knows its policy by digest; people know it by what made it."""
    from dataclasses import replace

    from tratree_cli.evaluation.artifact import read_evaluation
    from tratree_cli.evaluation.turns import with_turns
    from tratree_cli.reporting.evaluation_view import evaluation_view

    read = read_evaluation(entry.path)
    read = replace(read, results=with_turns(read.results, entry.path))
    label = _called(entry, "")
    descriptor = replace(read.descriptor, label=label or read.descriptor.label)
    return evaluation_view(replace(read, descriptor=descriptor), entry.ref)


def _called(entry: Entry, otherwise: str) -> str:
    """What tables call the policy of an evaluation, or a model."""
    from tratree_cli.display.headlines import called
    from tratree_cli.methods.registry import title

    label = str(entry.provenance.get("label") or otherwise)
    return called(label, title).removeprefix("evaluation of ")


def _model(entry: Entry) -> RenderableType:
    import orjson

    from tratree_cli.display.show_model import model_card
    from tratree_cli.reporting.lineage import SFT_STAGES
    from tratree_cli.training import convergence, rounds

    documents = [
        orjson.loads(path.read_bytes()) if path.is_file() else {}
        for path in (entry.path / "config.json", entry.path / "training.json")
    ]
    title = f"{_called(entry, 'model')}  {entry.ref[:24]}"
    told = convergence if entry.stage in SFT_STAGES else rounds
    length = told.as_lines(entry.summary)
    return model_card(documents[0], documents[1], title, length)


def case_study_view(store: Store, entries: Sequence[Entry], task: str | None) -> RenderableType:
    """Fig. 5: several policies on one task, side by side, the first difference marked."""
    from tratree_cli.display.case_study import compare_on_task, most_telling_task
    from tratree_cli.display.terminal_blocks import ComparisonText
    from tratree_cli.formats.rollouts import read_rollouts

    for entry in entries:
        if entry.kind not in ("evaluation", "rollouts", "demos"):
            raise InputError(
                f"{entry.ref[:24]} is of kind '{entry.kind}'; side by side stand evaluations, "
                "rollouts and demonstrations"
            )
    policies = [
        (
            _called(entry, entry.kind),
            read_rollouts(entry.path),
        )
        for entry in entries
    ]
    chosen = task or most_telling_task(policies)
    if chosen is None:
        raise InputError("these artifacts share no task; name one of each with --task")
    return ComparisonText(compare_on_task(chosen, policies, telling=task is None))


def tree_number(tree: TreeFile, task: str, entry: Entry) -> int:
    tasks = tree.forest.columns.tasks
    if task not in tasks:
        raise InputError(
            f"{entry.ref[:24]} has no task '{task}'{did_you_mean(task, tasks)}; "
            f"it has {len(tasks)}, the first is {tasks[0] if tasks else 'none'}"
        )
    return tasks.index(task)


def _pick(records: Sequence[Any], task: str, entry: Entry) -> Any:
    """The first record of ``task``."""
    tasks = list(dict.fromkeys(record.task for record in records))
    for record in records:
        if record.task == task:
            return record
    raise InputError(
        f"{entry.ref[:24]} has nothing on task '{task}'{did_you_mean(task, tasks)}; "
        f"it has {len(tasks)} tasks, the first is {tasks[0] if tasks else 'none'}"
    )


def artifact_records(entry: Entry, task: str | None) -> Iterable[Any]:
    from tratree_cli.formats.rollouts import read_jsonl

    names = {
        "demos": "trajectories.jsonl.zst",
        "rollouts": "trajectories.jsonl.zst",
        "pairs": "pairs.jsonl.zst",
        "paths": "paths.jsonl.zst",
        "evaluation": "results.jsonl.zst",
    }
    if entry.kind not in names:
        import orjson

        files = sorted(entry.path.glob("*.json"))
        return [{path.name: orjson.loads(path.read_bytes())} for path in files]
    records = read_jsonl(entry.path / names[entry.kind])
    return (record for record in records if task is None or record["task"] == task)


def scored_lines(store: Store, entry: Entry, task: str | None) -> list[str]:
    """The agent's words as the strong base model's tokenizer scores them, turn by turn."""
    from tratree_cli.config import from_dict
    from tratree_cli.display.text import inert
    from tratree_cli.models.load import load_tokenizer, resolve_base
    from tratree_cli.models.masks import encode_conversation, scored_texts

    config = from_dict(entry.provenance["config"], f"the recipe of {entry.ref[:24]}")
    tokenizer = load_tokenizer(resolve_base(config.models.strong).folder)
    lines = []
    for name, messages, context in _conversations(entry, task):
        encoded = encode_conversation(tokenizer, messages, context=context)
        lines.append(f"# {inert(name)}")
        lines += map(inert, scored_texts(tokenizer, encoded))
    return lines


def _conversations(entry: Entry, task: str | None) -> Iterable[tuple[str, list[Any], int]]:
    """What is scored: name, messages, and how many messages are context only."""
    if entry.kind == "pairs":
        from tratree_cli.formats.pairs import read_pairs

        pairs = read_pairs(entry.path).pairs
        for pair in pairs if task is None else [_pick(pairs, task, entry)]:
            for side, words in (("chosen", pair.chosen), ("rejected", pair.rejected)):
                yield f"{pair.task} {side}", [*pair.prompt, *words], len(pair.prompt)
    elif entry.kind == "paths":
        from tratree_cli.formats.paths import read_paths

        paths = read_paths(entry.path).paths
        for path in paths if task is None else [_pick(paths, task, entry)]:
            yield path.task, path.messages, path.prefix
    elif entry.kind == "demos":
        from tratree_cli.formats.rollouts import conversation, read_rollouts

        rollouts = read_rollouts(entry.path)
        prefix = rollouts.prompt.get("messages", [])
        for trajectory in rollouts.trajectories:
            if task is None or trajectory.task == task:
                yield trajectory.task, conversation(rollouts, trajectory, prefix), len(prefix)
    else:
        raise InputError(f"--scored is for pairs, paths and demos, not for '{entry.kind}'")


def typical_tree_view(tree: Entry) -> RenderableType:
    """The most informative tree of a forest, cut to what fits under a table."""
    from rich.text import Text

    from tratree_cli.display.forest import render_tree
    from tratree_cli.display.valid_actions import most_informative
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.trees.search.api import search

    read = read_tree(tree.path)
    ranked = most_informative(read)
    if not ranked:
        return Text("No tree has a scored trajectory.")
    return render_tree(read, ranked[0], search(read.forest), max_rows=24, fold=True)
