"""What all stage commands share: options, lineage, references, and what is printed where.

``@stage_command`` gives a command the common options without repeating them: the command declares
only its own and receives a ``Session`` that knows the rest.
"""

from __future__ import annotations

import functools
import inspect
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratree_cli.config import PROJECT_FILE, Config, load_recipe, parse_assignment, read_toml
from tratree_cli.errors import InputError, WouldRunError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from tratree_store import Entry, Store

    from tratree_cli.stages.graph import Node
    from tratree_cli.stages.runtime import Losses, Runtime

_COMMON: dict[str, tuple[Any, Any]] = {
    "env": (
        Annotated[str | None, typer.Option("--env", "-e", help="Environment.", show_default=False)],
        None,
    ),
    "data": (
        Annotated[
            str | None,
            typer.Option("--data", help="Folder with the environment's files.", show_default=False),
        ],
        None,
    ),
    "prompt": (
        Annotated[
            str | None,
            typer.Option("--prompt", help="Prompt's name, or its folder.", show_default=False),
        ],
        None,
    ),
    "recipe": (
        Annotated[
            str | None,
            typer.Option("--recipe", "-r", help="Shipped recipe, or .toml.", show_default=False),
        ],
        None,
    ),
    "assignments": (
        Annotated[
            list[str] | None,
            typer.Option("--set", metavar="KEY=VALUE", help="Any parameter: section.key=value."),
        ],
        None,
    ),
    "seed": (Annotated[int | None, typer.Option("--seed", help="Seed.", show_default=False)], None),
    "name": (
        Annotated[str | None, typer.Option("--name", help="Give the result a name.")],
        None,
    ),
    "workers": (
        Annotated[int, typer.Option("--workers", min=1, help="Processes inside a stage.")],
        1,
    ),
    "jobs": (
        Annotated[int, typer.Option("--jobs", "-j", min=0, help="Stages side by side, 0: cores.")],
        0,
    ),
    "device": (Annotated[str, typer.Option("--device", help="auto, cpu, cuda, ...")], "auto"),
    "dry_run": (
        Annotated[bool, typer.Option("--dry-run", "-n", help="Print the plan, run nothing.")],
        False,
    ),
    "exit_code": (
        Annotated[bool, typer.Option("--exit-code", help="With --dry-run: 4 if it would run.")],
        False,
    ),
    "frozen": (
        Annotated[bool, typer.Option("--frozen", help="Refuse to run what is not cached.")],
        False,
    ),
    "force": (Annotated[bool, typer.Option("--force", help="Run again although cached.")], False),
    "strict_code": (
        Annotated[
            bool, typer.Option("--strict-code", help="What other source code made is not cached.")
        ],
        False,
    ),
    "wait": (
        Annotated[float | None, typer.Option("--wait", help="Seconds to wait for a lock.", min=0)],
        None,
    ),
    "store": (
        Annotated[
            Path | None,
            typer.Option("--store", envvar="TRATREE_STORE", help="Store folder [.tratree]."),
        ],
        None,
    ),
    "no_stdin": (
        Annotated[bool, typer.Option("--no-stdin", help="Do not look for references on stdin.")],
        False,
    ),
    "as_json": (Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")], False),
    "quiet": (Annotated[bool, typer.Option("--quiet", "-q", help="Only errors on stderr.")], False),
    "debug": (Annotated[bool, typer.Option("--debug", help="Tracebacks.", hidden=True)], False),
}


def stage_command(function: Callable[..., None]) -> Callable[..., None]:
    """Add the common options to ``function(session, **own)``."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

    @functools.wraps(function)
    def command(**arguments: Any) -> None:
        common = {name: arguments.pop(name) for name in _COMMON}
        function(Session(**common), **arguments)

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
        for name, (hint, default) in _COMMON.items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    del command.__wrapped__
    return command


@dataclass
class Session:
    """The common options of one call, and everything a command does with them."""

    env: str | None
    data: str | None
    prompt: str | None
    recipe: str | None
    assignments: list[str] | None
    seed: int | None
    name: str | None
    workers: int
    jobs: int
    device: str
    dry_run: bool
    exit_code: bool
    frozen: bool
    force: bool
    strict_code: bool
    wait: float | None
    store: Path | None
    no_stdin: bool
    as_json: bool
    quiet: bool
    debug: bool

    @functools.cached_property
    def store_root(self) -> Path:
        """The store's folder, which need not exist yet but must be possible."""
        root = self.store or Path(".tratree")
        place = root.absolute()
        while not place.exists():
            place = place.parent
        if not place.is_dir():
            raise InputError(f"--store {root}: {place} is a file; choose another folder")
        if place != root.absolute() and not os.access(place, os.W_OK | os.X_OK):
            raise InputError(f"--store {root}: {place} is not writable; choose another folder")
        return root

    @property
    def opened_store(self) -> Store:
        return self.runtime.store

    @functools.cached_property
    def runtime(self) -> Runtime:
        from tratree_cli.display.progress import reporter
        from tratree_cli.stages.graph import Options
        from tratree_cli.stages.run_node import limit_threads
        from tratree_cli.stages.runtime import Runtime

        options = Options(workers=self.workers, device=self.device)
        limit_threads(options.threads)
        return Runtime(
            store_root=self.store_root,
            reporter=reporter(quiet=self.quiet),
            options=options,
            frozen=self.frozen,
            force=self.force,
            strict_code=self.strict_code,
            wait=self.wait,
            jobs=self.jobs or os.cpu_count() or 1,
            command=sys.argv[1:],
        )

    def use(self, **options: Any) -> None:
        """Set how stages run beyond the common options (engine, address)."""
        self.runtime.options = replace(self.runtime.options, **options)

    # -- configuration and lineage ------------------------------------------------------------

    def config(self, inherited: Sequence[Entry] = (), **changes: Any) -> Config:
        """The effective configuration; ``changes`` are a command's own flags by dotted key.

        With inputs, environment, data and recipe are theirs and a contradicting flag is an error;
        without, the recipe is laid under the project file and the flags over both.
        """
        base = _inherit(inherited) if inherited else self._from_recipe()
        values: list[tuple[str, dict[str, Any]]] = []
        flags = {"name": self.env, "data": self._data(), "prompt": self.prompt}
        env = {key: value for key, value in flags.items() if value is not None}
        if env:
            values.append(("command line", {"env": env}))
        if self.seed is not None:
            values.append(("--seed", {"seed": self.seed}))
        for dotted, value in changes.items():
            if value is not None and value != []:
                section, _, key = dotted.partition("__")
                values.append(("command line", {section: {key: value}}))
        for text in self.assignments or ():
            values.append((f"--set {text}", parse_assignment(text)))
        config = base
        for origin, nested in values:
            config = config.with_values(nested, origin)
        if inherited:
            _refuse_contradiction(base, config, self.recipe, inherited[0])
        return self._stored_models(config)

    def _stored_models(self, config: Config) -> Config:
        """``model:…`` as a base model: the folder of that artifact, known by its content."""
        named = {"weak": config.models.weak, "strong": config.models.strong}
        found = {
            role: str(self.entry(name, ("model",)).path.resolve())
            for role, name in named.items()
            if name.startswith(("model:", "model@"))
        }
        return config.with_values({"models": found}, "the store") if found else config

    def _from_recipe(self) -> Config:
        project = Path(PROJECT_FILE)
        document = read_toml(project) if project.is_file() else {}
        chosen = self.recipe or document.pop("recipe", None) or "quick"
        document.pop("recipe", None)
        recipe = load_recipe(str(chosen), self._wanted_environment(document))
        return recipe.with_values(document, PROJECT_FILE)

    def _wanted_environment(self, document: Mapping[str, Any]) -> str:
        """The environment that flags or the project file name; a recipe may differ by it."""
        names = [self.env, *(_env_name(parse_assignment(text)) for text in self.assignments or ())]
        return next((name for name in names if name), None) or _env_name(document) or ""

    def _data(self) -> str | None:
        if self.data is None or self.data == "embedded":
            return self.data
        folder = Path(self.data)
        if not folder.is_dir():
            raise InputError(f"--data {self.data}: there is no such folder")
        return str(folder.resolve())

    # -- references ----------------------------------------------------------------------------

    def entries(self, references: Sequence[str], kinds: Sequence[str]) -> list[Entry]:
        """The artifacts that are named as arguments or arrive on stdin, of the wanted kinds."""
        return [self.entry(text, kinds) for text in self.words(references)]

    def words(self, references: Sequence[str]) -> list[str]:
        """References from the arguments, or from a pipe or file on stdin, one a line."""
        if references and list(references) != ["-"]:
            return list(references)
        if self.no_stdin or not (references or _stdin_is_piped()):
            return []
        words = [line.strip() for line in sys.stdin.read().splitlines() if line.strip()]
        if not words:
            raise InputError(
                "stdin is an empty pipe, so the stage before failed; "
                "run it alone to see why, or add --no-stdin to use the default input"
            )
        return words

    def entry(self, text: str, kinds: Sequence[str]) -> Entry:
        found = self.opened_store.resolve(text)
        if found.kind not in kinds:
            raise InputError(
                f"{text} is of kind '{found.kind}', but a {_either(kinds)} is wanted here"
            )
        return found

    # -- running and printing ------------------------------------------------------------------

    def finish(
        self,
        node: Node,
        follow: str = "",
        summary: Callable[[Entry], RenderableType] | None = None,
    ) -> None:
        """Realise ``node`` and print its reference; with ``--dry-run`` print the plan instead.

        ``summary`` is shown to people on stderr, ``follow`` is the line they may type next.
        """
        entry = self.realise(node)
        if entry is not None:
            self.print_entry(entry)
            if summary is not None and not self.quiet:
                self.runtime.reporter.show(summary(entry))
            if follow:
                self.runtime.reporter.hint(follow)
            if entry.provenance.get("partial"):
                raise typer.Exit(3)

    def realise(self, node: Node) -> Entry | None:
        """The node's artifact, computed where it is missing; None after ``--dry-run``."""
        if self.dry_run:
            self._print_plan(node)
            return None
        from tratree_cli.display.progress import closing

        with closing(self.runtime.reporter):
            entry = self.runtime.realise(node)
        if self.name:
            self.opened_store.name(self.name, entry)
        return entry

    def attempt(self, node: Node) -> Losses:
        """Compute what can be had below ``node``; what fails costs only what needs it."""
        from tratree_cli.display.progress import closing

        with closing(self.runtime.reporter):
            return self.runtime.attempt(node)

    def print_entry(self, entry: Entry) -> None:
        """The one line on stdout."""
        if self.as_json:
            import orjson

            sys.stdout.write(orjson.dumps(entry_json(entry)).decode() + "\n")
        else:
            sys.stdout.write(entry.ref + "\n")
        sys.stdout.flush()

    def _print_plan(self, node: Node) -> None:
        from tratree_cli.display.plan import print_plan

        lines = self.runtime.plan(node)
        print_plan(lines, as_json=self.as_json)
        if self.exit_code and any(line.state != "cached" for line in lines):
            raise WouldRunError("something would run (--exit-code)")


def entry_json(entry: Entry) -> dict[str, Any]:
    """An artifact as ``--json`` prints it."""
    return {
        "ref": entry.ref,
        "kind": entry.kind,
        "object": entry.object,
        "recipe": entry.recipe,
        "stage": entry.stage,
        "path": str(entry.path),
        "created": entry.created,
        "seconds": entry.seconds,
        "size": entry.size,
        "inputs": entry.document.get("inputs", {}),
        "summary": entry.summary,
        "warnings": entry.provenance.get("warnings", []),
    }


def _env_name(document: Mapping[str, Any]) -> str | None:
    section = document.get("env")
    name = section.get("name") if isinstance(section, Mapping) else None
    return str(name) if name else None


def _stdin_is_piped() -> bool:
    """A pipe or a file; a terminal, /dev/null or a closed stdin is not input."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _either(kinds: Sequence[str]) -> str:
    return " or ".join(f"'{kind}'" for kind in kinds)


def _inherit(entries: Sequence[Entry]) -> Config:
    from tratree_cli.config import from_dict

    configs = [from_dict(e.provenance.get("config", {}), f"the recipe of {e.ref}") for e in entries]
    first = configs[0]
    for entry, other in zip(entries[1:], configs[1:], strict=True):
        if replace(other.env, prompt=first.env.prompt) != first.env:
            raise InputError(
                f"{entry.ref[:20]} was made in {other.env.name} on {other.env.data}, the input "
                f"before it in {first.env.name} on {first.env.data}; they cannot be combined"
            )
    return first


def _refuse_contradiction(base: Config, config: Config, recipe: str | None, entry: Entry) -> None:
    if config.env.prompt != base.env.prompt:
        raise InputError(
            f"{entry.ref[:20]} was made with the prompt '{base.env.prompt}'; a flag says "
            f"'{config.env.prompt}'; drop the flag (the input decides)"
        )
    if config.env != base.env:
        raise InputError(
            f"{entry.ref[:20]} was made in {base.env.name} on {base.env.data}; a flag says "
            f"{config.env.name} on {config.env.data}; drop the flag (the input decides)"
        )
    if recipe is not None and recipe != base.recipe:
        raise InputError(
            f"{entry.ref[:20]} was made with recipe '{base.recipe}'; --recipe {recipe} "
            "contradicts it; drop the flag, or use --set for single parameters"
        )
