"""The effective configuration of a command: recipe, project file and flags, or what inputs bring.

With inputs, environment, data and recipe are theirs (``inherited``), and a flag that contradicts
them is an error; without, the recipe is laid under the project file and the flags over both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.commands.project import PROJECT_FILE, project_file
from tratree_cli.config import (
    Config,
    from_dict,
    load_recipe,
    of_one_role,
    parse_assignment,
    read_toml,
)
from tratree_cli.errors import InputError

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.commands.options import CommonOptions


def configured(options: CommonOptions, inputs: Sequence[Entry], flags: Mapping[str, Any]) -> Config:
    """The configuration; ``flags`` are a command's own by ``section__key``, None if not given."""
    base = inherited(inputs) if inputs else _from_recipe(options)
    config = base
    given = _given_values(options, flags)
    for origin, values in given:
        config = config.with_values(values, origin)
    if config.eval.protocol:
        from tratree_cli.stages.evaluation_protocol import refuse_contradictions

        refuse_contradictions(config, given)
    if inputs:
        _refuse_contradiction(base, config, options.recipe, inputs[0])
    return config


def inherited(inputs: Sequence[Entry]) -> Config:
    """The configuration that the first input was made with; all must agree on the environment."""
    configs = [from_dict(e.provenance.get("config", {}), f"the recipe of {e.ref}") for e in inputs]
    first = configs[0]
    for entry, other in zip(inputs[1:], configs[1:], strict=True):
        if replace(other.env, prompt=first.env.prompt) != first.env:
            raise InputError(
                f"{entry.ref[:20]} was made in {other.env.name} on {other.env.data}, the input "
                f"before it in {first.env.name} on {first.env.data}; they cannot be combined"
            )
    return first


def _from_recipe(options: CommonOptions) -> Config:
    project = project_file()
    document = read_toml(project) if project is not None else {}
    named = document.pop("recipe", None)
    chosen = options.recipe or named or "quick"
    recipe = load_recipe(str(chosen), _wanted_environment(options, document))
    return recipe.with_values(document, str(project or PROJECT_FILE))


def _given_values(
    options: CommonOptions, flags: Mapping[str, Any]
) -> list[tuple[str, Mapping[str, Any]]]:
    """What the command line says, the strongest last: nested values, and where each was said."""
    env = {"name": options.env, "data": _folder(options.data), "prompt": options.prompt}
    given: list[tuple[str, Mapping[str, Any]]] = [
        ("command line", {"env": {key: value for key, value in env.items() if value is not None}})
    ]
    if options.seed is not None:
        given.append(("--seed", {"seed": options.seed}))
    for dotted, value in flags.items():
        if value is not None:
            nested: Any = value
            for part in reversed(dotted.split("__")):
                nested = {part: nested}
            given.append(("command line", nested))
    assigned = [(f"--set {text}", parse_assignment(text)) for text in options.assignments or ()]
    # What is said of one model counts whatever is said of both, in any order.
    return [*given, *sorted(assigned, key=lambda said: of_one_role(said[1]))]


def _wanted_environment(options: CommonOptions, document: Mapping[str, Any]) -> str:
    """The environment that flags or the project file name; a recipe may differ by it."""
    assigned = (_env_name(parse_assignment(text)) for text in options.assignments or ())
    return next(filter(None, (options.env, *assigned, _env_name(document))), "")


def _env_name(document: Mapping[str, Any]) -> str:
    section = document.get("env")
    return str(section.get("name") or "") if isinstance(section, Mapping) else ""


def _folder(data: str | None) -> str | None:
    """``--data`` as it is recorded: a folder by its whole path."""
    if data is None or data == "embedded":
        return data
    folder = Path(data)
    if not folder.is_dir():
        raise InputError(f"--data {data}: there is no such folder")
    return str(folder.resolve())


def _refuse_contradiction(base: Config, config: Config, recipe: str | None, entry: Entry) -> None:
    if config.env.prompt != base.env.prompt:
        raise InputError(
            f"{entry.ref[:20]} was made with the prompt '{base.env.prompt}'; a flag says "
            f"'{config.env.prompt}'; drop the flag (the input decides)"
        )
    # A protocol has data of its own, whatever the policy was trained on.
    data = base.env.data if config.eval.protocol else config.env.data
    if replace(config.env, data=data) != base.env:
        raise InputError(
            f"{entry.ref[:20]} was made in {base.env.name} on {base.env.data}; a flag says "
            f"{config.env.name} on {config.env.data}; drop the flag (the input decides)"
        )
    if recipe is not None and recipe != base.recipe:
        raise InputError(
            f"{entry.ref[:20]} was made with recipe '{base.recipe}'; --recipe {recipe} "
            "contradicts it; drop the flag, or use --set for single parameters"
        )
