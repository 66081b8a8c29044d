"""What a stage says to people when it is done: a few lines on stderr, from the stored summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tratree_cli.display.text import counted

if TYPE_CHECKING:
    from tratree_store import Entry


def facts(summary: dict[str, Any]) -> Table:
    """The numbers of a summary in two columns."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    for key, value in summary.items():
        table.add_row(Text(key.replace("_", " ")), Text(spoken(value)))
    return table


def spoken(value: Any) -> str:
    """A value of a summary as a person would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {spoken(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return " … ".join(spoken(inner) for inner in value)
    return str(value)


def evaluation_summary(entry: Entry) -> Group:
    """Average reward with its interval, success rate, and how the episodes ended."""
    summary = entry.summary
    low, high = summary.get("interval", (None, None))
    # One task has no interval over tasks.
    interval = "" if low is None else f"  95 % interval {low:.1f} to {high:.1f}"
    return Group(
        Text.assemble(
            ("average reward ", "dim"),
            (f"{summary['average_reward']:.1f}", "bold"),
            (interval, "dim"),
            ("   success rate ", "dim"),
            (f"{summary['success_rate']:.1f} %", "bold"),
        ),
        Text(
            f"{counted(summary['tasks'], 'task')}, {counted(summary['trajectories'], 'episode')}: "
            f"{spoken(summary['endings'])}",
            "dim",
        ),
    )


def paths_summary(entry: Entry) -> Table:
    """The paths, what was dropped and why, and how often e* is not the best recorded one."""
    summary, params = entry.summary, entry.document["params"]
    found = {
        "paths": f"{spoken(summary['paths'])}, average reward {summary['average_reward']:.1f} "
        f"(best observed {summary['best_observed_reward']:.1f})",
        "dropped": dropped_paths(summary["dropped"], float(params["min_score"])),
    }
    if against := summary.get("against_best_observed"):
        found["e* and the best observed"] = against_best(against)
    return facts(found)


def dropped_paths(dropped: Mapping[str, int], min_score: float) -> str:
    """Tasks without a path, by reason."""
    if not dropped:
        return "none"
    words = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())
    return f"{words} (mcts.min_score {min_score:g}: G at or below it)"


def against_best(against: Mapping[str, int]) -> str:
    """In how many trees e* is another trajectory than the best recorded one, and why not."""
    trees = counted(against["trees"], "tree")
    told = f"other words in {against['other_words']:,} of {trees}, lower G in {against['below']:,}"
    if against["uneven"]:
        return f"{told}; in {against['uneven']:,} a leaf has several scores, which e* averages"
    return f"{told}; every leaf has one score, so there is nothing to average"


def tree_summary(entry: Entry) -> Table:
    """The forest's statistics, for people, when ``build-tree`` is done.

    With what its trajectories share, unless it was made before that was recorded.
    """
    found, summary = tree_facts(entry.summary), entry.summary
    if "distinct_characters" in summary:
        found["sharing"] = shared_text(summary["shared_text"], summary["distinct_characters"])
    return facts(found)


def shared_text(ratio: float, distinct: int) -> str:
    """What training on a tree's trajectories by trees computes (``tree_packing``)."""
    return (
        f"{ratio:.1f} times the text that is distinct ({distinct:,} characters); training computes "
        "that (tree_packing)"
    )


def tree_facts(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Breadth, depth and informativeness (section 3.2) and the quality, each as a phrase."""
    s = {key: spoken(value) for key, value in summary.items()}
    ended = f"{float(summary['ended_by_itself']):.0%}"
    told = {
        "forest": f"{s['trees']} trees, {s['nodes']} nodes, {s['trajectories']} trajectories, "
        f"{s['steps']} steps",
        "merged": f"{s['merged_by_equality']} steps by equality, {s['merged_by_similarity']} by "
        f"similarity ({s['embedded_texts']} texts embedded)",
        "breadth": f"{s['paths_per_tree']} distinct paths per tree",
        "depth": f"{s['mean_depth']} steps on average, {ended} ended by themselves",
        "information": f"{s['divergences']} divergences, mean gap {s['mean_gap']}, entropy of "
        f"outcomes {s['outcome_entropy']} bits",
    }
    if "failed_steps_in_progress" in summary:
        told["progress"] = progress_words(summary)
    if graph := summary.get("graph"):
        told |= graph_facts(graph)
    return {**told, "quality": s["quality"]}


def graph_facts(graph: Mapping[str, Any]) -> dict[str, str]:
    """A state graph's figures (``trees.progress.graph_figures``), each as a phrase."""
    return {
        "states": f"{graph['states']:,}, {graph['several_histories']:,} reached by several "
        f"histories, {graph['several_actions']:,} answered by several actions; "
        f"{graph['lead_to_success']:,} lead to a success",
        "graph": f"{graph['returns']:,} steps back to a state; what followed differs for "
        f"{graph['contradictions']:,} of {graph['answers']:,} answers",
        "graph progress": progress_words(graph),
    }


def progress_words(summary: Mapping[str, Any]) -> str:
    """The two shares that GraphGPO names."""
    return (
        f"{float(summary['failed_steps_in_progress']):.0%} of the steps of failed trajectories "
        f"make it, {float(summary['successful_steps_without']):.0%} of those of successful ones "
        "do not"
    )
