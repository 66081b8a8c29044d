"""A served model that is sent token ids and answers with token ids.

The conversation is encoded here, exactly as the local engine encodes it (``TurnEncoder``), and what
was sampled goes into the next request as it was sampled: a server that is sent words encodes them
again, which may give other ids than were sampled. Two protocols: vLLM's ``/v1/completions`` with
``return_token_ids``, and SGLang's ``/generate``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from tratree_cli.agents.http_client import HttpAnswer
from tratree_cli.agents.policy import Reply, Turn
from tratree_cli.agents.served import LONGEST_ANSWER, Dialogue, ServedPolicy
from tratree_cli.formats.agent_text import storable
from tratree_cli.formats.rollouts import CONTEXT_OVERFLOW
from tratree_cli.models.chat_encoding import TurnEncoder

Protocol: TypeAlias = Literal["vllm", "sglang"]
_PATHS: dict[str, str] = {"vllm": "/v1/completions", "sglang": "/generate"}


class TokenPolicy(ServedPolicy):
    """Conversations with ``model`` behind ``url`` (its root), tokens in and tokens out.

    ``chat`` encodes; a conversation ends as ``context-overflow`` at ``max_context`` tokens, and an
    observation that cannot fit even if all its tokens had ``longest_token`` characters is not read.
    ``adapter`` is the model's name on a server that takes adapters apart from models.
    """

    def __init__(
        self,
        url: str,
        model: str,
        chat: TurnEncoder,
        *,
        protocol: Protocol,
        max_context: int,
        longest_token: int,
        adapter: str = "",
        **options: Any,
    ) -> None:
        super().__init__([url], model, **options)
        self.path = _PATHS[protocol]
        self._chat = chat
        self._protocol = protocol
        self._max_context = max_context
        self._longest_text = max_context * longest_token
        self._adapter = adapter

    def submit(self, turns: Sequence[Turn]) -> None:
        fitting = []
        for turn in turns:
            if self._take_in(self._dialogues[turn.slot], turn.observation):
                fitting.append(turn)
            else:
                number = next(self._turns)
                self._submitted[number] = turn.slot
                self._ready.put((number, Reply(turn.slot, end=CONTEXT_OVERFLOW)))
        super().submit(fitting)

    def _take_in(self, dialogue: Dialogue, observation: str) -> bool:
        """Add the ids of an observation; False if the conversation has no room for it."""
        if len(observation) > self._longest_text:
            return False
        if dialogue.ids and self._chat.incremental:
            said = dialogue.messages[-1]["content"]
            dialogue.ids += self._chat.following(observation, said)
        else:
            turn = {"role": "user", "content": observation}
            dialogue.ids = self._chat.whole([*dialogue.messages, turn])
        return len(dialogue.ids) < self._max_context

    def _body(self, dialogue: Dialogue) -> dict[str, Any]:
        room = min(self._max_new_tokens, self._max_context - len(dialogue.ids))
        sampling: dict[str, Any] = {
            "temperature": dialogue.setting.get("temperature", 1.0),
            "top_p": dialogue.setting.get("top_p", 1.0),
            "stop_token_ids": sorted(self._chat.stop_ids),
        }
        if self._protocol == "sglang":
            sampling |= {"max_new_tokens": room, "sampling_seed": dialogue.turn_seed}
            adapter = {"lora_path": self._adapter} if self._adapter else {}
            return {"input_ids": dialogue.ids, "sampling_params": sampling, **adapter}
        return {
            "model": self._model,
            "prompt": dialogue.ids,
            **sampling,
            "max_tokens": room,
            "seed": dialogue.turn_seed,
            "return_token_ids": True,
            "stream": False,
        }

    def _said(self, slot: int, dialogue: Dialogue, answer: HttpAnswer) -> Reply:
        try:
            content = json.loads(answer.body)
            out = content if self._protocol == "sglang" else content["choices"][0]
            ids = out["output_ids" if self._protocol == "sglang" else "token_ids"]
            ids = [int(number) for number in ids]
        except (ValueError, LookupError, TypeError):
            return self._refused(slot, f"the answer has no token ids: {answer.body[:200]!r}")
        while ids and ids[-1] in self._chat.stop_ids:
            ids.pop()
        dialogue.ids += ids
        text = storable(self._chat.decode(ids))[:LONGEST_ANSWER]
        return Reply(slot, text, tokens=tuple(ids))
