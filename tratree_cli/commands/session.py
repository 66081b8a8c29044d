"""One call of a stage command: its references, its configuration, and what is printed where.

``@stage_command`` gives a command the common options without repeating them: the command declares
only its own and receives a ``Session`` that knows the rest.
"""

from __future__ import annotations

import functools
import os
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tratree_cli.agents.registry import LOCAL
from tratree_cli.commands.engines import use_engine
from tratree_cli.commands.next_step import next_step
from tratree_cli.commands.options import CommonOptions, with_common_options
from tratree_cli.commands.output import entry_json, print_json, print_line, say
from tratree_cli.commands.project import default_store
from tratree_cli.errors import InputError, WouldRunError
from tratree_cli.models.folder_checks import allow_remote_code

if TYPE_CHECKING:
    from rich.console import RenderableType
    from tratree_store import Entry, Store

    from tratree_cli.config import Config
    from tratree_cli.pipeline.graph import Node
    from tratree_cli.pipeline.runtime import Losses, Runtime


@dataclass
class Session(CommonOptions):
    """The common options of one call, and everything a command does with them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        allow_remote_code(self.trust_remote_code)

    @functools.cached_property
    def store_root(self) -> Path:
        """The store's folder, which need not exist yet but must be possible."""
        root = self.store or default_store()
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
        from tratree_cli.methods.registry import title
        from tratree_cli.pipeline.graph import Options
        from tratree_cli.pipeline.reporter import SilentReporter
        from tratree_cli.pipeline.runtime import Runtime
        from tratree_cli.threads import chosen_threads, limit_threads

        options = Options(workers=self.workers, device=self.device, threads=chosen_threads())
        limit_threads(options.threads)
        return Runtime(
            store_root=self.store_root,
            reporter=SilentReporter() if self.quiet else reporter(title, verbose=self.verbose),
            options=options,
            frozen=self.frozen,
            force=self.force,
            strict_code=self.strict_code,
            wait=self.wait,
            jobs=self.jobs or os.cpu_count() or 1,
            command=sys.argv[1:],
            checks=[self._tell_of_another_recipe],
        )

    def _tell_of_another_recipe(self, missing: Sequence[Node]) -> None:
        from tratree_cli.commands.next_step import another_recipe

        if words := another_recipe(missing, self.opened_store):
            self.runtime.reporter.warn(words)

    def use(self, **options: Any) -> None:
        """Set how stages run beyond the common options (engine, address)."""
        self.runtime.options = replace(self.runtime.options, **options)

    # -- configuration -------------------------------------------------------------------------

    def config(self, inputs: Sequence[Entry] = (), **flags: Any) -> Config:
        """The effective configuration (``configured``); ``flags`` are a command's own."""
        from tratree_cli.commands.configuration import configured
        from tratree_cli.commands.recipe_fit import require_fitting_recipe

        config = configured(self, inputs, flags)
        require_fitting_recipe(config, sys.argv[1:])
        if config.explore.backend != LOCAL:
            use_engine(self.runtime, config.explore.backend, jobs=self.jobs, dry_run=self.dry_run)
        return self._of_free_memory(self._stored_models(config))

    def _of_free_memory(self, config: Config) -> Config:
        """``explore.block = auto`` as the number that everything made from here on records."""
        from tratree_cli.sections import AUTO

        if config.explore.block != AUTO:
            return config
        from tratree_cli.stages.concurrency import resolve_block

        resolved = resolve_block(config, self.device, self.workers)
        if not self.quiet:
            say(resolved.sentence)
        return config.with_values({"explore": {"block": resolved.block}}, "free memory")

    def _stored_models(self, config: Config) -> Config:
        """``model:…`` as a base model: the folder of that artifact, known by its content."""

        def folder(name: str) -> str:
            stored = name.startswith(("model:", "model@"))
            return str(self.entry(name, ("model",)).path.resolve()) if stored else name

        models, chain = config.models, config.chain.models
        found = {"weak": folder(models.weak), "strong": folder(models.strong)}
        links = [*map(folder, chain)]
        if links == chain and found == {"weak": models.weak, "strong": models.strong}:
            return config
        return config.with_values({"models": found, "chain": {"models": links}}, "the store")

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
        try:
            text = sys.stdin.read()
            text.encode()  # in some locales foreign bytes are read as halves of characters
        except UnicodeError as error:
            raise InputError(
                "stdin is not UTF-8 text; references are expected there, one a line "
                "(--no-stdin ignores it)"
            ) from error
        words = [line.strip() for line in text.splitlines() if line.strip()]
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
                f"{text} is of kind '{found.kind}', but {_either(kinds)} is wanted here"
            )
        return found

    # -- running and printing ------------------------------------------------------------------

    def finish(
        self,
        node: Node,
        summary: Callable[[Entry], RenderableType | None] | None = None,
    ) -> None:
        """Realise ``node`` and print its reference; with ``--dry-run`` print the plan instead.

        ``summary`` is shown to people on stderr, before the line that they may type next.
        """
        entry = self.realise(node)
        if entry is not None:
            self.print_entry(entry)
            said = summary(entry) if summary is not None and not self.quiet else None
            if said is not None:
                self.runtime.reporter.show(said)
            if follow := next_step(entry, self.name, self.store):
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
            print_json(entry_json(entry))
        else:
            print_line(entry.ref)
        sys.stdout.flush()

    def _print_plan(self, node: Node) -> None:
        from tratree_cli.commands.plan_output import print_plan

        lines = self.runtime.plan(node)
        print_plan(lines, as_json=self.as_json, verbose=self.verbose)
        if self.exit_code and any(line.state != "cached" for line in lines):
            raise WouldRunError("something would run (--exit-code)")


def _stdin_is_piped() -> bool:
    """A pipe or a file; a terminal, /dev/null or a closed stdin is not input."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _either(kinds: Sequence[str]) -> str:
    return " or ".join(f"'{kind}'" for kind in kinds)


stage_command = with_common_options(Session)
"""Add the common options to ``function(session, **own)``."""
