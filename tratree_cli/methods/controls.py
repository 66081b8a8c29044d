"""The controls that are derived from a method: the same training without what is in question.

A method names those of its own that are made beside it (``Method.controls``), as
``METHOD/VARIANT``. A variant is one named change of a record; here all of them stand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tratree_cli.methods import mcts, sft_more
from tratree_cli.methods.method import Method, PaperPlaces


@dataclass(frozen=True)
class Control:
    """A change that makes a control of a method; texts have ``{title}`` and ``{name}`` of it."""

    variant: str
    title: str
    summary: str
    change: Callable[[Method], Method]
    numbered_title: str = ""
    alternative: str = ""
    """What it stands for in a report's sentence (``Method.alternative``)."""

    def of(self, method: Method) -> Method:
        """The control of ``method``, a record like any other."""
        names = {"title": method.title, "name": method.name, "n": "{n}"}
        return replace(
            self.change(method),
            name=f"{method.name}/{self.variant}",
            title=self.title.format(**names),
            summary=self.summary.format(**names),
            numbered_title=self.numbered_title.format(**names),
            alternative=self.alternative,
            group="control",
            controls=(),
            control_of=method.name,
            paper=PaperPlaces(),
        )


def _more_demonstrations(method: Method) -> Method:
    return replace(sft_more.METHOD, steps_of=method.name, same_as=sft_more.METHOD.name)


def _imitation(times: int) -> Callable[[Method], Method]:
    """Imitation of the method's paths for as many steps, or several times as many."""

    def change(method: Method) -> Method:
        return replace(
            mcts.METHOD,
            path_rule=method.path_rule,
            explorer=method.explorer,
            steps_of=method.name,
            steps_times=times,
            same_as=mcts.METHOD.name,
        )

    return change


CONTROLS = {
    control.variant: control
    for control in (
        Control(
            "sft-more",
            "SFT strong, updates of {title}",
            "SFT continued on the demonstrations for as many updates as {name} takes",
            _more_demonstrations,
            alternative="more training alone",
            numbered_title="SFT strong, +{n} updates",
        ),
        Control(
            "nll-only",
            "{title}, NLL alone",
            "{name} with the likelihood of the chosen side in place of the preference",
            lambda method: replace(method, of_pairs="nll", same_as=method.name),
            alternative="imitation of the chosen sides alone",
        ),
        Control(
            "swapped",
            "{title}, sides swapped at random",
            "{name} with the two sides of each pair in random order",
            lambda method: replace(method, of_pairs="swapped"),
            alternative="training on the same pairs without their labels",
        ),
        Control(
            "mirror-only",
            "{title}, mirror pairs alone",
            "{name} on the mirror pairs of its pairs alone",
            lambda method: replace(method, of_pairs="mirror"),
            alternative="training on the mirror pairs alone",
        ),
        Control(
            "unstructured",
            "{title}, unstructured pairs",
            "{name} on pairs of whole trajectories of one task, by reward alone",
            lambda method: replace(method, pair_rule="unstructured"),
            alternative="pairing episodes by reward alone",
        ),
        Control(
            "more-episodes",
            "W2SG MCTS, one more episode a task",
            "imitation of the paths alone, in trees of one more explored trajectory a task, which "
            "are more episodes than {name} plays",
            lambda method: replace(mcts.METHOD, explorer=method.explorer, more_samples=1),
            alternative="exploring more",
        ),
        Control(
            "mcts",
            "W2SG MCTS, updates of {title}",
            "imitation of the paths alone, for as many updates as {name} takes",
            _imitation(1),
            alternative="imitation of the paths alone",
            numbered_title="W2SG MCTS, +{n} updates",
        ),
        Control(
            "mcts-twice",
            "W2SG MCTS, twice the updates of {title}",
            "imitation of the paths alone, for twice as many updates as {name} takes",
            _imitation(2),
            alternative="longer imitation of the paths alone",
            numbered_title="W2SG MCTS, +{n} updates",
        ),
    )
}
