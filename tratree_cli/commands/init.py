"""``tratree init``: a Makefile, a tratree.toml and a .gitignore for the working folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratree_cli.commands.completion import complete_environment, complete_recipe
from tratree_cli.commands.output import print_line, say
from tratree_cli.commands.project import PROJECT_FILE

app = typer.Typer()


@app.command()
def init(
    env: Annotated[
        str, typer.Option("--env", "-e", help="Environment.", autocompletion=complete_environment)
    ] = "webshop",
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="Recipe.", autocompletion=complete_recipe)
    ] = "quick",
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a Makefile (one target a stage), a tratree.toml and a .gitignore for this folder."""
    from tratree_cli.config import load_recipe
    from tratree_cli.envs.registry import environment_names
    from tratree_cli.errors import InputError, did_you_mean
    from tratree_cli.resources import templates_dir

    load_recipe(recipe, env)
    if env not in environment_names():
        raise InputError(
            f"there is no environment '{env}'{did_you_mean(env, environment_names())}; "
            f"known are {', '.join(environment_names())}"
        )
    files = {
        Path("Makefile"): (templates_dir() / "Makefile").read_text(encoding="utf-8"),
        Path(PROJECT_FILE): f'recipe = "{recipe}"\n\n[env]\nname = "{env}"\n',
    }
    present = [str(path) for path in files if path.exists()]
    if present and not force:
        raise InputError(f"{' and '.join(present)} exist here already; add --force to overwrite")
    for path, content in files.items():
        path.write_text(content, encoding="utf-8")
        print_line(str(path))
    if _ignore(Path(".gitignore")):
        print_line(".gitignore")
    say("next: make report (make help lists the targets)")


IGNORED = (".tratree/", "refs/")


def _ignore(path: Path) -> bool:
    """Add what is made here to ``.gitignore``, below what stands there; whether that was needed."""
    present = path.read_text(encoding="utf-8") if path.is_file() else ""
    missing = [name for name in IGNORED if name not in present.split()]
    if missing:
        start = present if present.endswith("\n") or not present else f"{present}\n"
        path.write_text(start + "".join(f"{name}\n" for name in missing), encoding="utf-8")
    return bool(missing)
