"""A ``rollout_func`` for TRL's ``GRPOTrainer``: agents that write ``Thought: ... Action: ...``.

TRL hands a rollout function prompts and nothing else, so the rows of the data set come from here
and the task is found again by its first observation::

    rollouts = ReactRollouts("webshop", split="train")
    trainer = GRPOTrainer(
        model, reward_funcs=episode_reward, rollout_func=rollouts,
        train_dataset=Dataset.from_list(rollouts.rows(64)), args=config,
    )

All episodes of a batch take their turns together. The tokens that were sampled are the tokens that
are trained on: nothing is decoded and encoded again, and the environment's text is masked.
Generation is the trainer's own model's; a vLLM server is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tratree_cli.envs.agent_episode import AgentEpisode
from tratree_cli.errors import InputError
from tratree_cli.interop.opening import EpisodeMaker

Message = dict[str, str]


@dataclass
class _Rollout:
    """One episode as token ids: the prompt, and what follows with a mask (1: sampled)."""

    episode: AgentEpisode
    prompt: list[int]
    completion: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    over: bool = False


class ReactRollouts:
    """Plays a batch of prompts to their ends.

    ``system`` are messages before the first observation (instructions, an example). A turn has at
    most ``max_new_tokens`` tokens; an episode whose tokens would exceed the trainer's
    ``max_completion_length`` ends where it is. Further options are those of
    :class:`~tratree_cli.interop.opening.EpisodeMaker`.
    """

    __name__ = "react_rollouts"

    def __init__(
        self,
        environment: str = "webshop",
        *,
        split: str = "",
        system: Sequence[Message] = (),
        max_new_tokens: int = 128,
        **options: Any,
    ) -> None:
        self._maker = EpisodeMaker(
            environment, split=split, **{"react": True, "actions": False, **options}
        )
        self._system = list(system)
        self._max_new_tokens = max_new_tokens
        self._tasks: dict[str, str] = {}

    def rows(self, count: int = 0, split: str | None = None) -> list[dict[str, Any]]:
        """Rows for ``Dataset.from_list``: ``prompt`` and ``task``; 0 takes the whole split.

        Of tasks that begin with the same text only the first has a row.
        """
        rows: list[dict[str, Any]] = []
        for task in self._maker.chooser.tasks(split):
            if count and len(rows) >= count:
                break
            first = self._maker.episode(task=task).reset().text
            if self._tasks.setdefault(first, task) == task:
                message = {"role": "user", "content": first}
                rows.append({"prompt": [*self._system, message], "task": task})
        return rows

    def __call__(self, prompts: Sequence[Sequence[Message]], trainer: Any) -> Mapping[str, Any]:
        """One episode for each prompt; what TRL asks a rollout function for, and ``env_reward``."""
        tokenizer = trainer.processing_class
        rollouts = [
            _Rollout(self._episode(prompt), _rendered(tokenizer, prompt)) for prompt in prompts
        ]
        while going := [rollout for rollout in rollouts if not rollout.over]:
            sampled = _sample(trainer, going, self._max_new_tokens)
            for rollout, (tokens, logprobs) in zip(going, sampled, strict=True):
                self._advance(rollout, tokens, logprobs, trainer)
        return {
            "prompt_ids": [rollout.prompt for rollout in rollouts],
            "completion_ids": [rollout.completion for rollout in rollouts],
            "logprobs": [rollout.logprobs for rollout in rollouts],
            "env_mask": [rollout.mask for rollout in rollouts],
            "env_reward": [_score(rollout) for rollout in rollouts],
        }

    def _episode(self, prompt: Sequence[Message]) -> AgentEpisode:
        first = prompt[-1]["content"]
        if first not in self._tasks:
            raise InputError("a prompt is not of the rows() that this rollout function made")
        episode = self._maker.episode(task=self._tasks[first])
        episode.reset()
        return episode

    def _advance(
        self, rollout: _Rollout, tokens: list[int], logprobs: list[float], trainer: Any
    ) -> None:
        """Take the agent's output and append the environment's answer."""
        tokenizer, room = trainer.processing_class, trainer.max_completion_length
        _extend(rollout, tokens, logprobs, sampled=True)
        output = tokenizer.decode(tokens, skip_special_tokens=True)
        state = rollout.episode.step(output)
        answer = _answer(tokenizer, state.text, closed=tokens[-1:] == [tokenizer.eos_token_id])
        left = room - len(rollout.completion) - len(answer)
        rollout.over = state.done or left < self._max_new_tokens
        if not rollout.over:
            _extend(rollout, answer, [0.0] * len(answer), sampled=False)


def episode_reward(env_reward: Sequence[float], **_: Any) -> list[float]:
    """The reward function that belongs to :class:`ReactRollouts`: the final scores."""
    return list(env_reward)


def _score(rollout: _Rollout) -> float:
    state = rollout.episode.state
    return state.score if state else 0.0


def _extend(rollout: _Rollout, tokens: list[int], logprobs: list[float], *, sampled: bool) -> None:
    rollout.completion.extend(tokens)
    rollout.logprobs.extend(logprobs)
    rollout.mask.extend([int(sampled)] * len(tokens))


def _rendered(tokenizer: Any, messages: Sequence[Message], begun: bool = True) -> list[int]:
    """Token ids of a conversation, with the head of the agent's turn where ``begun``."""
    text = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=begun, tokenize=False
    )
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _answer(tokenizer: Any, text: str, *, closed: bool) -> list[int]:
    """What stands between the end of the agent's turn and the beginning of its next.

    Found as the difference of two conversations, because templates differ in what they put there;
    ``closed``: the end-of-turn token was sampled already.
    """
    exchange = [{"role": "user", "content": "."}, {"role": "assistant", "content": "."}]
    before = _rendered(tokenizer, exchange, begun=False)
    after = _rendered(tokenizer, [*exchange, {"role": "user", "content": text}])
    end = tokenizer.eos_token_id
    # Templates may write a line break after the end of a turn, which was not sampled.
    cut = max((i + 1 for i, token in enumerate(before) if token == end), default=len(before))
    if after[:cut] != before[:cut]:
        raise InputError("the chat template does not render a longer conversation the same way")
    return after[cut:] if closed else [end, *after[cut:]]


def _sample(
    trainer: Any, rollouts: Sequence[_Rollout], max_new_tokens: int
) -> list[tuple[list[int], list[float]]]:
    """The agents' next turns: token ids and their log-probabilities at the sampling temperature."""
    import torch

    tokenizer, device = trainer.processing_class, trainer.accelerator.device
    model = trainer.accelerator.unwrap_model(trainer.model)
    contexts = [rollout.prompt + rollout.completion for rollout in rollouts]
    longest = max(map(len, contexts))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    ids = torch.full((len(contexts), longest), pad, dtype=torch.long, device=device)
    mask = torch.zeros_like(ids)
    for row, context in enumerate(contexts):
        ids[row, longest - len(context) :] = torch.tensor(context, device=device)
        mask[row, longest - len(context) :] = 1
    was_training = model.training
    model.eval()
    with torch.no_grad():
        made = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=True,
            temperature=trainer.temperature,
            max_new_tokens=max_new_tokens,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=pad,
            return_dict_in_generate=True,
            output_logits=True,
        )
    model.train(was_training)
    logits = torch.stack(made.logits, dim=1).float() / trainer.temperature
    tokens = made.sequences[:, longest:]
    chosen = logits.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    result = []
    for row in range(len(contexts)):
        turn: list[int] = tokens[row].tolist()
        if tokenizer.eos_token_id in turn:
            turn = turn[: turn.index(tokenizer.eos_token_id) + 1]
        result.append((turn, chosen[row, : len(turn)].tolist()))
    return result
