"""Rollouts written by hand: a trajectory is its task, its steps and its score."""

from __future__ import annotations

from collections.abc import Sequence

from tratree_cli.formats.rollouts import DONE, STEP_LIMIT, Rollouts, TextTable, Trajectory

Step = tuple[str, str]
"""``(observation, action)``; the action ``!words`` is an output that could not be parsed."""


def made_rollouts(
    episodes: Sequence[tuple[str, Sequence[Step], float | None]],
    *,
    thoughts: Sequence[str] = (),
    end: str = "",
    prompt: Sequence[dict[str, str]] = (),
    split: str = "train",
) -> Rollouts:
    """Rollouts of one model; thoughts are dealt out in turns, one per step."""
    texts = TextTable()
    trajectories = []
    dealt = 0
    for sample, (task, steps, score) in enumerate(episodes):
        observations, outputs, found, actions = [], [], [], []
        for observation, action in steps:
            observations.append(texts.intern(observation))
            thought = thoughts[dealt % len(thoughts)] if thoughts else ""
            dealt += 1
            if action.startswith("!"):
                outputs.append(texts.intern(action[1:]))
                found.append(-1)
                actions.append(-1)
                continue
            words = f"Thought: {thought}\nAction: {action}" if thought else f"Action: {action}"
            outputs.append(texts.intern(words))
            found.append(texts.intern(thought) if thought else -1)
            actions.append(texts.intern(action))
        observations.append(texts.intern("the end"))
        ending = "environment-error" if score is None else DONE if score == 1.0 else STEP_LIMIT
        trajectories.append(
            Trajectory(
                task=task,
                sample=sample,
                setting=0,
                source=0,
                seed=7,
                instruction=texts.intern(f"Instruction of {task}"),
                observations=tuple(observations),
                outputs=tuple(outputs),
                thoughts=tuple(found),
                actions=tuple(actions),
                scores=tuple(float(score or 0.0) for _ in steps),
                valid=tuple(True for _ in steps),
                score=score,
                success=score == 1.0,
                end=end or ending,
            )
        )
    return Rollouts(
        texts=texts,
        trajectories=trajectories,
        settings=[{"temperature": 1.0, "top_p": 1.0}],
        sources=["model:weak"],
        environment={"name": "toy", "data": "embedded", "data_digest": "0" * 64, "parameters": {}},
        split=split,
        prompt={"messages": [dict(message) for message in prompt]} if prompt else {},
    )


SHOP = made_rollouts(
    [
        ("mug", [("home", "search[mug]"), ("results", "click[red mug]"), ("item", "buy")], 1.0),
        ("mug", [("home", "search[mug]"), ("results", "click[blue mug]"), ("item", "buy")], 0.25),
        ("mug", [("home", "search[mug]"), ("results", "click[red mug]"), ("item", "back")], 0.0),
        ("mug", [("home", "search[cup]"), ("nothing", "!I give up")], 0.0),
        ("mug", [("home", "search[mug]")], 0.0),
        ("mug", [("home", "search[mug]"), ("results", "click[blue mug]")], None),
        ("tie", [("home", "search[tie]"), ("ties", "buy")], 0.5),
        ("tie", [("home", "search[tie]"), ("ties", "buy")], 0.5),
    ],
    thoughts=("look", "choose", "pay", "pay"),
    prompt=[
        {"role": "user", "content": "You are shopping."},
        {"role": "assistant", "content": "OK"},
    ],
)
"""Two tasks; a golden tree that can be checked by hand."""
