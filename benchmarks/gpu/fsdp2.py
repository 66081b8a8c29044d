"""FSDP2 with one process and with two: the losses of three steps equal those of one plain model.

Two processes meet over gloo, which lets them share one GPU; where gloo cannot move a GPU's tensors
for FSDP2 the figures say so. With one process the shipped accelerate file trains through the
command line as well, since that is what users start. A toy runs the processes on the CPU.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.gpu.context import Context, make_model
from benchmarks.gpu.training import talk

REPOSITORY = Path(__file__).parents[2]
STEPS = 3
AGREE = 0.02
"""Relative difference of losses."""


def run(context: Context) -> dict[str, Any]:
    model = make_model(context.folder / f"model-{context.one.name}", context.one, context.device)
    plain = losses(context, model, 0)
    found: dict[str, Any] = {"plain_last_loss": plain[-1]}
    for processes in (1, 2):
        sharded = losses(context, model, processes)
        worst = max(abs(a - b) / abs(b) for a, b in zip(sharded, plain, strict=True))
        found[f"{processes}_processes_against_plain"] = worst
        assert worst < AGREE, f"FSDP2 with {processes} processes differs by {worst:.2g}"
    if not context.toy:
        found["accelerate_file"] = by_command_line(context, model)
    return found


def losses(context: Context, model: Path, processes: int) -> list[float]:
    """Losses of ``STEPS`` steps; 0 processes are a plain model in one."""
    out = context.folder / f"losses-{processes}.json"
    out.unlink(missing_ok=True)
    launcher = [sys.executable]
    if processes:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    words = ["-m", "benchmarks.gpu.fsdp2", str(model), context.device, str(out)]
    done = subprocess.run(
        [*launcher, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    last = " | ".join((done.stderr.strip().splitlines() or [""])[-2:])
    assert done.returncode == 0 and out.is_file(), f"{processes} processes: {last}"
    return [float(loss) for loss in json.loads(out.read_text("utf-8"))]


def worker(model: Path, device: str, out: Path) -> None:
    """One process: the same rows in every world, a part of them each."""
    import torch
    from torch import distributed

    from tratree_cli.models.load import load_model

    world, rank = int(os.environ.get("WORLD_SIZE", "0")), int(os.environ.get("RANK", "0"))
    network = load_model(model, "float32").train().to(device)
    if world:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        distributed.init_process_group("nccl" if device == "cuda" and world == 1 else "gloo")
        mesh = init_device_mesh(device, (world,))
        for layer in network.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(network, mesh=mesh)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    generator = torch.Generator().manual_seed(0)
    seen = []
    for _ in range(STEPS):
        ids = torch.randint(100, (2, 64), generator=generator)
        mine = (ids[rank::world] if world else ids).to(device)
        loss = network(input_ids=mine, labels=mine).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        mean = loss.detach().cpu()
        if world:
            distributed.all_reduce(mean if device == "cpu" or world > 1 else (mean := mean.cuda()))
            mean = mean.cpu() / world
        seen.append(float(mean))
    if rank == 0:
        out.write_text(json.dumps(seen), encoding="utf-8")
    if world:
        distributed.destroy_process_group()


def by_command_line(context: Context, model: Path) -> str:
    """``tratree sft --launch`` with the shipped file, for one process."""
    folder = context.folder / "launch"
    folder.mkdir(exist_ok=True)
    shipped = (REPOSITORY / "templates" / "cluster" / "fsdp2.yaml").read_text("utf-8")
    (folder / "fsdp2.yaml").write_text(re.sub(r"num_processes: \d+", "num_processes: 1", shipped))
    talks = talk(context.one)[0][:4]
    lines = "".join(json.dumps({"messages": messages}) + "\n" for messages in talks)
    (folder / "demos.jsonl").write_text(lines)
    settings = ("epochs=1", "batch_size=2", "max_length=4096", "learning_rate=1e-5")
    words = ["sft", "--demos", "demos.jsonl", "--model", str(model), "--launch", "fsdp2.yaml"]
    words += ["--recipe", "large", "--no-stdin"]
    words += [word for setting in settings for word in ("--set", f"sft.{setting}")]
    done = subprocess.run(
        [sys.executable, "-m", "tratree_cli.app", *words],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = " | ".join((done.stderr.strip().splitlines() or [""])[-2:])
    assert done.returncode == 0, f"--launch fsdp2.yaml: {last}"
    return done.stdout.strip()[:20]


if __name__ == "__main__":
    worker(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
