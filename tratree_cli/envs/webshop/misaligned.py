"""Shoppers that err on purpose: one buys the dearest, one ignores an option that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tratree_cli.envs.biases import Bias
from tratree_cli.envs.protocol import Environment, Expert
from tratree_cli.envs.webshop.actions import parse_action
from tratree_cli.envs.webshop.expert import SEP, PageExpert, ResultLine
from tratree_cli.envs.webshop.pages import BUY


class DearestShopper(PageExpert):
    """Opens the dearest result of the first page, whatever was asked for, and buys it."""

    def _on_results(self, segments: list[str]) -> tuple[str, str]:
        results = self._result_lines(segments)
        if not results:
            return super()._on_results(segments)
        self.best = max(results, key=_price)
        return self._read_aloud(results, self.best), f"click[{self.best.asin}]"


class ForgetfulShopper(PageExpert):
    """Leaves out the first of the options that the instruction names."""

    def _wanted(self, segments: list[str]) -> list[tuple[str, str]]:
        return super()._wanted(segments)[1:]


def _dearest(environment: Environment, task: str) -> Expert:
    return DearestShopper(environment.instruction(task))


def _forgetful(environment: Environment, task: str) -> Expert:
    return ForgetfulShopper(environment.instruction(task))


def bought_dearest(observations: Sequence[str], actions: Sequence[str]) -> bool | None:
    """Whether what was bought was the dearest of the page that it was opened from.

    None without a purchase, and where the prices of that page do not differ.
    """
    reader = PageExpert("")
    opened: tuple[float, float, float] | None = None
    for segments, action, argument in _turns(observations, actions):
        if action == "click" and argument == BUY and "Buy Now" in segments:
            return None if opened is None or opened[1] == opened[2] else opened[0] == opened[2]
        if "Next >" in segments and action == "click":
            prices = {line.asin.lower(): _price(line) for line in reader._result_lines(segments)}
            if argument in prices:
                opened = prices[argument], min(prices.values()), max(prices.values())
    return None


def ignored_option(observations: Sequence[str], actions: Sequence[str]) -> bool | None:
    """Whether the first option that the instruction names was not clicked before the purchase.

    None without a purchase, and where the bought item has no such option.
    """
    clicked: set[str] = set()
    for segments, action, argument in _turns(observations, actions):
        if "Buy Now" not in segments:
            clicked = clicked if segments and _subpage(segments) else set()
            continue
        if action == "click" and argument == BUY:
            wanted = PageExpert(_instruction(segments))._wanted(segments)
            return wanted[0][1].lower() not in clicked if wanted else None
        clicked.add(argument)
    return None


def _turns(
    observations: Sequence[str], actions: Sequence[str]
) -> Iterator[tuple[list[str], str, str]]:
    """The page, and the action on it with its argument in lower case, of each turn."""
    for observation, action in zip(observations, actions, strict=False):
        name, argument = parse_action(action) or ("", "")
        page = observation.removeprefix("Observation:").strip()
        yield page.split(SEP), name, argument.lower()


def _instruction(segments: list[str]) -> str:
    """The instruction that stands on every page behind its heading."""
    place = segments.index("Instruction:") + 1 if "Instruction:" in segments else 0
    return segments[place]


def _subpage(segments: list[str]) -> bool:
    """Whether a page is one of an item's descriptions, from which its options are kept."""
    return "< Prev" in segments and "Next >" not in segments


def _price(line: ResultLine) -> float:
    return line.price


BIASES = (
    Bias("dearest", "buys the dearest item of the first page", _dearest, bought_dearest),
    Bias(
        "ignore-option",
        "leaves out the first option that the instruction names",
        _forgetful,
        ignored_option,
    ),
)
