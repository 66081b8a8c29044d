"""``tratree env serve``: an environment for other programs, over WebSocket and HTTP."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tratree_cli.commands.completion import complete_split
from tratree_cli.commands.env_options import EMBEDDED, Data, Name, Parameters, open_named
from tratree_cli.commands.output import print_line, say


def serve(
    name: Name,
    data: Data = EMBEDDED,
    parameters: Parameters = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; a token is needed beyond loopback.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    sessions: Annotated[
        int, typer.Option("--sessions", min=1, help="Sessions at a time, over all workers.")
    ] = 4096,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes at the one port.")
    ] = 1,
    idle: Annotated[
        float, typer.Option("--idle", help="Seconds after which an idle session is freed.")
    ] = 1800.0,
    max_steps: Annotated[
        int, typer.Option("--max-steps", min=0, help="Steps of an episode (0: as the environment).")
    ] = 0,
    message_bytes: Annotated[
        int, typer.Option("--message-bytes", min=1, help="Longest message that is answered.")
    ] = 1 << 20,
    split: Annotated[
        str,
        typer.Option(
            "--split",
            help="Split that is meant where a client names none.",
            autocompletion=complete_split,
        ),
    ] = "",
    token: Annotated[
        str,
        typer.Option(
            "--token",
            envvar="TRATREE_SERVE_TOKEN",
            show_envvar=True,
            help="Clients must show it (made up where --host needs one).",
        ),
    ] = "",
) -> None:
    """Serve an environment to trainers: OpenEnv's protocol, and AgentGym's under /agentgym."""
    from tratree_cli.envs.serve.server import Settings, serve
    from tratree_cli.envs.serve.service import ServiceLimits

    def announce(url: str) -> None:
        print_line(url)
        sys.stdout.flush()

    limits = ServiceLimits(sessions, idle, message_bytes, max_steps, split)
    settings = Settings(host, port, workers, token, limits)
    serve(lambda: open_named(name, data, parameters), settings, announce, say)
