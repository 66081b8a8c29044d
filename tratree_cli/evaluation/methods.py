"""The policies that reports know by name, in the order in which tables list them.

A method outside this list is shown under its own name after the known ones, so that a new training
method needs no change here to appear in a report.
"""

from __future__ import annotations

EXPERT = "expert"
RANDOM = "random"
SFT_WEAK = "sft-weak"
SFT_STRONG = "sft-strong"
TREE_DPO = "tree-dpo"
MCTS = "mcts"
UNSTRUCTURED_DPO = "unstructured-dpo"
ETO = "eto"
BEST_OF_N = "best-of-n"
CEILING = "ceiling"
SFT_MORE = "sft-more"
BEST_OBSERVED = "best-observed"

METHODS = {
    EXPERT: "expert",
    RANDOM: "random",
    SFT_WEAK: "SFT weak",
    SFT_STRONG: "SFT strong",
    SFT_MORE: "SFT strong, more steps",
    TREE_DPO: "W2SG tree-DPO",
    MCTS: "W2SG MCTS",
    UNSTRUCTURED_DPO: "unstructured DPO",
    BEST_OBSERVED: "best observed",
    ETO: "ETO",
    BEST_OF_N: "SFT strong, best of N",
    CEILING: "ceiling",
}
"""Method to the name that tables print."""

BASELINE = SFT_STRONG
"""What every method is compared with."""


def title(method: str) -> str:
    """The printed name of a method."""
    return METHODS.get(method, method)


def rank(method: str) -> int:
    """Its place in a table; unknown methods share the last one."""
    return list(METHODS).index(method) if method in METHODS else len(METHODS)
