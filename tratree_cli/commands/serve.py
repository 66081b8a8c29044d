"""``tratree serve``: a serving engine for one model, kept up for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tratree_cli.commands.completion import complete_reference
from tratree_cli.commands.output import print_json, print_line, say
from tratree_cli.commands.project import default_store
from tratree_cli.errors import InputError, StageError, did_you_mean

app = typer.Typer()


@app.command()
def serve(
    model: Annotated[
        str,
        typer.Argument(
            help="A model: a reference, a folder, an embedded or hub name.",
            autocompletion=complete_reference,
        ),
    ],
    engine: Annotated[str, typer.Option("--engine", help="vllm, sglang or transformers.")] = "vllm",
    max_context: Annotated[
        int, typer.Option("--max-context", min=1, help="Longest conversation in tokens.")
    ] = 4096,
    dtype: Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or auto.")] = "auto",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    store: Annotated[
        Path | None,
        typer.Option("--store", envvar="TRATREE_STORE", help="Store folder [.tratree]."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One object: url, model, key, engine, version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks.", hidden=True)] = False,
) -> None:
    """Start an engine on a model and keep it until Ctrl-C; its URL is the one line on stdout."""
    from tratree_cli.agents.engine_policy import started
    from tratree_cli.agents.engines import ENGINES, Limits

    if engine not in ENGINES:
        known = ", ".join(ENGINES)
        raise InputError(
            f"--engine {engine}: no such engine can be served"
            f"{did_you_mean(engine, ENGINES)}; there are {known}"
        )
    chosen = ENGINES[engine]
    folder = _folder(model, store or default_store())
    lease, name = started(chosen, folder, Limits(max_context, dtype, device))
    try:
        url, version = f"{lease.url}/v1", chosen.noted_version()
        if as_json:
            told = {"url": url, "model": name, "key": lease.key}
            print_json({**told, "engine": engine, "version": version})
        else:
            print_line(url)
            key = f", its key {lease.key}" if chosen.has_key else ", and it takes no key"
            say(f"{engine} {version} answers; the model is called {name}{key}; Ctrl-C ends it")
        sys.stdout.flush()
        raise StageError(f"{engine} stopped: {lease.wait_until_ended()}")
    finally:
        lease.close()


def _folder(model: str, store: Path) -> Path:
    """The folder of a model in the store or elsewhere."""
    from tratree_cli.models.load import EMBEDDED, resolve_base

    if model in EMBEDDED or Path(model).is_dir() or not store.is_dir():
        return resolve_base(model).folder
    from tratree_store import Store, StoreError

    try:
        entry = Store(store).resolve(model)
    except StoreError:
        if model.count("/") != 1:
            raise
        return resolve_base(model).folder
    if entry.kind != "model":
        raise InputError(f"{model} is of kind '{entry.kind}', but 'model' is wanted here")
    return entry.path
