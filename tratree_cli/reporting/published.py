"""The figures printed in the paper's Tables 1-5 and 8, to be shown beside one's own.

Average reward times 100 and success rate in percent, as printed. Other models, other test sets and
other budgets than a small study's: they are context, marked as the paper's, and never take part in
a test. Nothing that the paper only draws (Figures 3-4) or whose table is not printed is here.
"""

from __future__ import annotations

from dataclasses import dataclass

from tratree_cli.methods.registry import title

WEBSHOP = "webshop"
SCIENCEWORLD = "scienceworld"
ALFWORLD = "alfworld"
PAPER = "paper 1"
"""The protocol under which the paper's figures stand, with its version."""


@dataclass(frozen=True)
class Published:
    """One printed figure; ``label`` is the paper's own row title.

    It is shown beside evaluations under its ``protocol`` alone.
    """

    table: int
    label: str
    method: str
    environment: str
    reward: float
    success: float | None = None
    family: str = "Llama2-13B"
    breadth: int | None = None
    beta: float | None = None
    protocol: str = PAPER


_TABLE_1: tuple[tuple[str, str, tuple[float, ...]], ...] = (
    ("SFT Weak Model (Llama-2-7b+SFT)", "sft-weak", (47.1, 87.0, 41.2, 55.5, 44.8)),
    ("W2SG with Tree DPO", "tree-dpo", (53.2, 97.0, 55.4, 61.1, 56.0)),
    ("W2SG with MCTS", "mcts", (56.9, 99.0, 58.2, 66.8, 57.5)),
    ("SFT Strong Model (Llama-2-13b+SFT)", "sft-strong", (51.0, 94.0, 53.6, 59.2, 51.5)),
    ("SFT Strong Model (Llama-2-13b+ETO)", "eto", (52.0, 97.5, 54.9, 61.1, 53.7)),
    ("SFT Strong Model + Best of N", "best-of-n", (52.3, 96.0, 55.3, 60.7, 55.2)),
    ("Ceiling Model", "ceiling", (58.3, 96.5, 56.9, 63.5, 59.0)),
)

# Table, family, method, WebShop, ScienceWorld, AlfWorld.
_FAMILIES: tuple[tuple[int, str, str, float, float | None, float], ...] = (
    (2, "Llama3-8B", "sft-strong", 60.8, 59.5, 59.7),
    (2, "Llama3-8B", "tree-dpo", 62.0, 62.7, 61.9),
    (2, "Llama3-8B", "mcts", 65.3, 67.9, 65.7),
    (4, "Qwen2.5-7B", "sft-weak", 65.5, None, 58.2),
    (4, "Qwen2.5-14B", "sft-strong", 71.7, None, 61.9),
    (4, "Qwen2.5-14B", "tree-dpo", 72.3, None, 62.7),
    (4, "Qwen2.5-14B", "mcts", 76.1, None, 65.7),
    (8, "Llama2-70B", "sft-strong", 65.1, 64.6, 63.4),
    (8, "Llama2-70B", "tree-dpo", 65.9, 67.4, 65.7),
    (8, "Llama2-70B", "mcts", 70.4, 69.1, 68.7),
)


def _table_1() -> list[Published]:
    figures = []
    for label, method, (web, web_success, sci, sci_success, alf) in _TABLE_1:
        figures += [
            Published(1, label, method, WEBSHOP, web, web_success),
            Published(1, label, method, SCIENCEWORLD, sci, sci_success),
            Published(1, label, method, ALFWORLD, alf),
        ]
    return figures


def _families() -> list[Published]:
    return [
        Published(table, title(method), method, environment, reward, family=family)
        for table, family, method, *rewards in _FAMILIES
        for environment, reward in zip((WEBSHOP, SCIENCEWORLD, ALFWORLD), rewards, strict=True)
        if reward is not None
    ]


_TABLE_3 = (
    Published(3, "SFT", "sft-strong", SCIENCEWORLD, 53.6),
    Published(3, "WTS", "tree-dpo", SCIENCEWORLD, 54.9, beta=0.1),
    Published(3, "WTS", "tree-dpo", SCIENCEWORLD, 49.2, beta=0.5),
    Published(3, "MCTS", "mcts", SCIENCEWORLD, 57.6, breadth=5),
    Published(3, "MCTS", "mcts", SCIENCEWORLD, 58.2, breadth=6),
    Published(3, "MCTS", "mcts", SCIENCEWORLD, 54.9, breadth=7),
)

_TABLE_5 = (
    Published(5, "SFT", "sft-strong", ALFWORLD, 59.7, family="Llama3-8B"),
    Published(5, "Unstructured DPO", "unstructured-dpo", ALFWORLD, 60.4, family="Llama3-8B"),
    Published(5, "TreeDPO", "tree-dpo", ALFWORLD, 61.9, family="Llama3-8B"),
    Published(5, "MCTS", "mcts", ALFWORLD, 65.7, family="Llama3-8B"),
)

PUBLISHED: tuple[Published, ...] = (*_table_1(), *_families(), *_TABLE_3, *_TABLE_5)


def published(*tables: int) -> tuple[Published, ...]:
    """The printed figures of these tables, in reading order."""
    return tuple(figure for figure in PUBLISHED if figure.table in tables)
