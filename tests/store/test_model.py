"""Any order of operations, kills and flipped bytes against a model that fits on one page.

The model knows which artifacts there are, what they were made from, what each name meant, and what
was damaged. After every step the store lists exactly what the model has, and every name means what
it should. Artifacts are made of their seed alone, so equal keys are equal objects.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tratree_store import Entry, Recipe, Store, VerificationError
from tratree_store.faults import PUBLISH_POINTS, VARIABLE
from tratree_store.fsck import check, repair
from tratree_store.gc import collect
from tratree_store.objects import folder_of
from tratree_store.refs import PINS
from tratree_store.remote import pull, push

from .conftest import flip

SEEDS = st.integers(0, 5)
NAMES = st.sampled_from(["weak", "study/strong", f"{PINS}kept"])


class StoreAndModel(RuleBasedStateMachine):
    """The store in a fresh folder beside its model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="tratree-model-"))
        self.remote = f"file://{self.folder}/remote"
        self.store = Store(self.folder / "store", durable=False, on_warning=lambda _: None)
        #: seed -> seed of its input, or None; only what is in the store.
        self.present: dict[int, int | None] = {}
        self.entries: dict[int, Entry] = {}  # of every seed that was ever made
        self.made_from: dict[int, int | None] = {}
        self.names: dict[str, list[int | None]] = {}
        self.pushed: set[int] = set()
        self.broken_objects: set[int] = set()
        self.broken_records: set[int] = set()
        self.broken_names: set[str] = set()

    def teardown(self) -> None:
        self.store.leases.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- what the model knows --------------------------------------------------------------

    def recipe(self, seed: int) -> Recipe:
        above = self.made_from[seed]
        inputs = {} if above is None else {"rollouts": self.entries[above].object}
        return Recipe("build-tree", 1, "tree", {"seed": seed}, inputs)

    @property
    def sound(self) -> bool:
        return not (self.broken_objects or self.broken_records or self.broken_names)

    def current(self, name: str) -> int | None:
        history = self.names.get(name, [])
        return history[-1] if history else None

    def needed(self, seeds: set[int]) -> set[int]:
        """The seeds that are there and everything they were made from that is there."""
        found, todo = set(), [seed for seed in seeds if seed in self.present]
        while todo:
            seed = todo.pop()
            if seed in found or seed not in self.present:
                continue
            found.add(seed)
            above = self.made_from[seed]
            todo += [] if above is None else [above]
        return found

    def choose(self, seed: int) -> int | None:
        """Some seed that is in the store and whole; None if there is none."""
        whole = sorted(set(self.present) - self.broken_objects - self.broken_records)
        return whole[seed % len(whole)] if whole else None

    def arrived(self, seed: int, entry: Entry) -> None:
        self.present[seed], self.entries[seed] = self.made_from[seed], entry
        self.broken_objects.discard(seed)
        self.broken_records.discard(seed)

    # -- operations ------------------------------------------------------------------------

    @rule(seed=SEEDS, above=SEEDS)
    def publish(self, seed: int, above: int) -> None:
        if seed not in self.made_from:
            self.made_from[seed] = above if above in self.entries and above < seed else None
        with self.store.build(self.recipe(seed)) as build:
            if build.entry is None:
                (build.path / "tree.json").write_text(f"tree {seed}")
                build.publish()
        assert build.entry is not None
        assert self.store.verify(build.entry) == []
        self.arrived(seed, build.entry)
        self.store.leases.release()

    @rule(seed=SEEDS, point=st.sampled_from(PUBLISH_POINTS))
    def publish_and_be_killed(self, seed: int, point: str) -> None:
        self.made_from.setdefault(seed, None)
        child = os.fork()
        if child == 0:
            try:
                os.environ[VARIABLE] = point
                store = Store(self.store.root, durable=False, on_warning=lambda _: None)
                with store.build(self.recipe(seed)) as build:
                    if build.entry is None:
                        (build.path / "tree.json").write_text(f"tree {seed}")
                        build.publish()
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL)
        entry = self.store.find(self.recipe(seed))
        self.store.leases.release()
        if entry is not None:
            self.arrived(seed, entry)
        elif (
            seed in self.broken_objects
            and not folder_of(self.store.objects, self.entries[seed].object).is_dir()
        ):
            pytest.fail("a kill during the replacement left the broken object's record alone")
        elif seed not in self.broken_objects | self.broken_records:
            assert seed not in self.present, "what was acknowledged is lost"

    @rule(name=NAMES, seed=SEEDS)
    def give_a_name(self, name: str, seed: int) -> None:
        chosen = self.choose(seed)
        if chosen is None:
            return
        try:
            self.store.name(name, self.entries[chosen])
        except VerificationError:
            assert name in self.broken_names
        else:
            self.names.setdefault(name, []).append(chosen)

    @rule(name=NAMES)
    def take_a_name_away(self, name: str) -> None:
        if name in self.names and name not in self.broken_names:
            self.store.name(name, None)
            self.names[name].append(None)

    @rule(drop_inputs=st.booleans())
    def collect_garbage(self, drop_inputs: bool) -> None:
        try:
            collect(self.store, younger_than=0, drop_inputs=drop_inputs)
        except VerificationError:
            lost = [s for n in self.names if (s := self.current(n)) not in self.present]
            assert self.broken_names or self.broken_records or lost
            return
        assert not self.broken_names | self.broken_records
        named = {seed for name in self.names if (seed := self.current(name)) is not None}
        kept = named & set(self.present) if drop_inputs else self.needed(named)
        self.present = {seed: above for seed, above in self.present.items() if seed in kept}
        self.broken_objects &= kept

    @rule()
    def index_anew(self) -> None:
        self.store.reindex()

    @rule(seed=SEEDS)
    def push_to_the_remote(self, seed: int) -> None:
        chosen = self.choose(seed)
        going = self.needed({chosen}) if chosen is not None else set()
        if chosen is None or going & (self.broken_objects | self.broken_records):
            return
        push(self.store, [self.entries[chosen]], self.remote, jobs=1)
        self.pushed |= going

    @rule(seed=SEEDS)
    def pull_from_the_remote(self, seed: int) -> None:
        if not self.pushed:
            return
        chosen = sorted(self.pushed)[seed % len(self.pushed)]
        found, _ = pull(self.store, [self.entries[chosen].object], self.remote, jobs=1)
        assert found[0].recipe == self.entries[chosen].recipe
        self.store.leases.release()
        todo = [chosen]
        while todo:
            one = todo.pop()
            if one in self.pushed:
                self.arrived(one, self.entries[one])
                above = self.made_from[one]
                todo += [] if above is None else [above]

    # -- damage ----------------------------------------------------------------------------

    @rule(seed=SEEDS, offset=st.integers(0, 500))
    def flip_a_byte_of_an_object(self, seed: int, offset: int) -> None:
        chosen = self.choose(seed)
        if chosen is not None:
            flip(self.entries[chosen].path / "tree.json", offset)
            self.broken_objects.add(chosen)

    @rule(seed=SEEDS, offset=st.integers(0, 500))
    def flip_a_byte_of_a_record(self, seed: int, offset: int) -> None:
        chosen = self.choose(seed)
        if chosen is not None:
            digest = self.entries[chosen].object
            flip(next(self.store.records.glob(f"*/*/{digest}.json")), offset)
            self.broken_records.add(chosen)

    @rule(name=NAMES, offset=st.integers(0, 2000))
    def flip_a_byte_of_a_name(self, name: str, offset: int) -> None:
        if name in self.names and name not in self.broken_names:
            flip(self.store.refs.path(name), offset)
            self.broken_names.add(name)

    @precondition(lambda self: self.store.index.path.exists())
    @rule(offset=st.integers(0, 100_000), whole=st.booleans())
    def damage_the_index(self, offset: int, whole: bool) -> None:
        """The index is never the truth: whatever happens to it, nothing else changes."""
        if whole:
            self.store.index.path.write_bytes(b"no database")
        else:
            flip(self.store.index.path, offset)

    @rule()
    def mend_everything(self) -> None:
        repair(self.store, check(self.store))
        after = check(self.store)
        assert after.clean, after.findings
        gone = self.broken_objects | self.broken_records
        self.present = {s: above for s, above in self.present.items() if s not in gone}
        for name, history in list(self.names.items()):
            now = self.store.refs.current(name)
            meant = {self.entries[s].object: s for s in history if s is not None}
            if name in self.broken_names:
                # Which line the byte was in decides what can be told; it is one of the meanings.
                assert now is None or now.object in meant
                self.names[name] = [None if now is None else meant[now.object]]
            elif history[-1] is not None and history[-1] not in self.present:
                while history and history[-1] is not None and history[-1] not in self.present:
                    history.pop()
            if not self.store.refs.path(name).exists():
                del self.names[name]
        self.broken_objects.clear()
        self.broken_records.clear()
        self.broken_names.clear()

    # -- what must be true after every step ------------------------------------------------

    @invariant()
    def the_store_lists_what_the_model_has(self) -> None:
        listed = {entry.recipe for entry in self.store.entries()}
        wanted = {self.recipe(s).digest for s in set(self.present) - self.broken_records}
        assert listed == wanted

    @invariant()
    def names_mean_what_they_were_given(self) -> None:
        for name in set(self.names) - self.broken_names:
            seed = self.current(name)
            now = self.store.refs.current(name)
            assert (now.object if now else None) == (
                None if seed is None else self.entries[seed].object
            )

    @invariant()
    def what_is_whole_is_found_and_what_is_broken_is_not(self) -> None:
        for seed in self.present:
            entry = self.store.find(self.recipe(seed))
            assert (entry is None) == (seed in self.broken_objects | self.broken_records)
        self.store.leases.release()

    @invariant()
    def the_check_is_clean_exactly_if_nothing_is_broken(self) -> None:
        lost = [s for n in self.names if (s := self.current(n)) not in (None, *self.present)]
        report = check(self.store)
        errors = [f for f in report.findings if f.error and f.what != "index"]
        assert bool(errors) == (not self.sound or bool(lost)), report.findings


QUICK = settings(
    max_examples=8,
    stateful_step_count=16,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
StoreAndModel.TestCase.settings = QUICK


class TestSomeHistories(StoreAndModel.TestCase):
    """Part of every run of the tests."""


@pytest.mark.slow
class TestManyHistories(StoreAndModel.TestCase):
    """Longer ones, and many."""

    settings = settings(QUICK, max_examples=100, stateful_step_count=30)
