"""Lines to type for each command, as its help page shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EXAMPLES: Mapping[str, Sequence[str]] = {
    "sft": (
        "tratree sft --role weak",
        "tratree sft --role strong --epochs 2 --name strong",
        "tratree sft --demos mine.jsonl --model tratree-s",
    ),
    "explore": (
        "tratree explore -m 8 --limit 100",
        "tratree explore --env alfworld --policy expert -m 1",
        "tratree explore --temperature 0.7,1.0 | tratree build-tree",
    ),
    "build-tree": (
        "tratree build-tree rollouts@latest",
        "tratree build-tree rollouts@latest --threshold 0.9 --name loose",
    ),
    "mine-pairs": (
        "tratree mine-pairs tree@latest",
        "tratree mine-pairs tree@latest --min-gap 0.3 --per-task 4",
        "tratree mine-pairs rollouts@latest --rule unstructured",
    ),
    "mcts": (
        "tratree mcts tree@latest",
        "tratree mcts tree@latest --rollouts 400 --gamma 1",
    ),
    "train-strong": (
        "tratree train-strong pairs@latest",
        "tratree train-strong --method best-observed",
        "tratree train-strong --pairs pairs.jsonl --model tratree-s",
    ),
    "eval": (
        "tratree eval model@latest",
        "tratree eval --policy expert --limit 20",
        "tratree eval model@latest --engine vllm",
    ),
    "run": (
        "tratree run --seeds 3 --methods sft-strong,tree-dpo,mcts --dry-run",
        "tratree run --recipe micro --sweep explore.m=2,4 --methods sft-strong,mcts",
        "tratree run --rounds 3 --methods sft-strong,tree-dpo",
    ),
    "report": (
        "tratree report --env webshop --dry-run",
        "tratree report --existing --long",
        "tratree report -o report.html",
    ),
    "show": (
        "tratree show tree@latest",
        "tratree show tree@latest --format html > tree.html",
        "tratree show evaluation@latest --json",
    ),
    "env": ("tratree env list", "tratree env play webshop"),
    "env serve": ("tratree env serve webshop --port 8000",),
    "env list": ("tratree env list", "tratree env list --data data/webshop"),
    "env check": ("tratree env check webshop", "tratree env check webshop --strict"),
    "env play": ("tratree env play webshop", "tratree env play alfworld --task train-0"),
    "env fetch": ("tratree env fetch webshop --to data/webshop",),
    "store": ("tratree store ls", "tratree store why model@latest"),
    "store init": ("tratree store init", "tratree store init --shared --store /data/team"),
    "store ls": ("tratree store ls tree", "tratree store ls --long --limit 0"),
    "store show": ("tratree store show model@latest", "tratree store show model@latest --json"),
    "store why": ("tratree store why model@latest",),
    "store log": ("tratree store log report@latest", "tratree store log tree@latest --mermaid"),
    "store diff": ("tratree store diff model@latest model@latest^init",),
    "store name": ("tratree store name best model@latest", "tratree store name best --delete"),
    "store pin": ("tratree store pin report@latest",),
    "store gc": ("tratree store gc --dry-run", "tratree store gc --younger-than 30d"),
    "store fsck": ("tratree store fsck", "tratree store fsck --quick --repair"),
    "store reindex": ("tratree store reindex",),
    "store verify": (
        "tratree store verify model@latest",
        "tratree store verify tree@latest --recompute",
    ),
    "store push": ("tratree store push /data/team report@latest",),
    "store pull": ("tratree store pull /data/team best",),
    "store export": ("tratree store export model@latest weak.tar.gz",),
    "store import": ("tratree store import weak.tar.gz",),
    "init": ("tratree init", "tratree init --env alfworld --recipe micro"),
    "serve": ("tratree serve model@latest --engine vllm", "tratree serve tratree-s --json"),
    "pretrain": ("tratree pretrain s --seed 1 --to models",),
    "import": (
        "tratree import mine.jsonl --format jsonl",
        "tratree import pairs.jsonl --as pairs --name mine",
    ),
    "export": (
        "tratree export pairs@latest pairs.jsonl --to trl",
        "tratree export evaluation@latest rollouts.eval",
        "tratree export rollouts@latest pairs@latest --hub ./dataset",
    ),
}
"""Command, with its subcommand if it has any, to two or three lines."""
