"""Plays episodes with openenv's own client and prints everything that it saw, a line an episode.

    python play_openenv.py URL SPLIT EPISODES CONNECTIONS

Runs in the environment of the clients (``make .venv/.clients``) and knows nothing of tratree.
"""

import asyncio
import json
import sys
from random import Random

from openenv import GenericEnvClient

NONSENSE = ["xyzzy", "", "12", "Action: nothing", "ж\ud800"]


def tell(value):
    sys.stdout.write(json.dumps(value) + "\n")


def seen(result):
    return [result.observation, result.reward, result.done]


def choose(draw, observation):
    action = draw.choice(observation["available_actions"] + NONSENSE[: draw.randrange(6)])
    return draw.choice(["", "Thought: so.\nAction: "]) + action


async def play(url, split, waiting):
    async with GenericEnvClient(base_url=url) as client:
        while waiting:
            index = waiting.pop()
            draw = Random(index)
            result = await client.reset(split=split, index=index, prompt="a column of a data set")
            told, actions = [seen(result)], []
            while not result.done:
                actions.append(choose(draw, result.observation))
                result = await client.step({"action": actions[-1]})
                told.append(seen(result))
            state = await client.state()
            tell([index, actions, told, state])


async def main():
    url, split, episodes, connections = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5])
    waiting = list(range(episodes))
    await asyncio.gather(*(play(url, split, waiting) for _ in range(connections)))


def blocking():
    """The same client as synchronous programs use it, with an error on the way."""
    with GenericEnvClient(base_url=sys.argv[1]).sync() as client:
        try:
            client.step({"action": "x"})
        except RuntimeError as error:
            tell(str(error))
        result = client.reset(seed=3)
        tell([seen(result), seen(client.step({"action": "xyzzy"})), client.state()])


if __name__ == "__main__":
    if len(sys.argv) > 2:
        asyncio.run(main())
    else:
        blocking()
