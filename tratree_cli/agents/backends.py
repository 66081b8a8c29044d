"""The built-in policy backends."""

from tratree_cli.agents.registry import LOCAL, PolicyBackend

EXPERT = PolicyBackend(
    name="expert",
    summary="the environment's own expert, which sees pages and never the answer",
    kind="scripted",
    body="tratree_cli.agents.scripted:open_expert",
    rank=10,
)
RANDOM = PolicyBackend(
    name="random",
    summary="a uniformly drawn available action at every step",
    kind="scripted",
    body="tratree_cli.agents.scripted:open_random",
    rank=20,
)
HUMAN = PolicyBackend(
    name="human",
    summary="a person at the terminal",
    kind="scripted",
    body="tratree_cli.agents.scripted:open_human",
    external=True,
    interactive=True,
    rank=30,
)
SERVED = PolicyBackend(
    name="openai",
    summary="a model behind a server with the OpenAI chat protocol",
    kind="served",
    argument="URL[,URL...]#MODEL",
    body="tratree_cli.agents.served:open_served",
    external=True,
    rank=40,
)
PYTHON = PolicyBackend(
    name="python",
    summary="a policy, or a function of messages, of an importable module",
    kind="scripted",
    argument="MODULE:OBJECT",
    body="tratree_cli.agents.scripted:open_python",
    external=True,
    rank=50,
)
LOCAL_ENGINE = PolicyBackend(
    name=LOCAL,
    summary="a model's folder or hub name, played in this process",
    kind="engine",
    argument="FOLDER",
    body="tratree_cli.agents.local.policy:open_local",
    rank=60,
)
VLLM = PolicyBackend(
    name="vllm",
    summary="a model's folder or hub name, played by a vLLM server that is started for it",
    kind="engine",
    argument="FOLDER",
    body="tratree_cli.agents.engine_policy:open_vllm",
    external=True,
    rank=70,
)
SGLANG = PolicyBackend(
    name="sglang",
    summary="the same with an SGLang server",
    kind="engine",
    argument="FOLDER",
    body="tratree_cli.agents.engine_policy:open_sglang",
    external=True,
    rank=80,
)
TRANSFORMERS = PolicyBackend(
    name="transformers",
    summary="the same with `transformers serve`",
    kind="engine",
    argument="FOLDER",
    body="tratree_cli.agents.engine_policy:open_transformers",
    external=True,
    rank=90,
)
