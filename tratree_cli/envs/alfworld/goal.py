"""Goals: which things must stand in which relations at once.

All goals of the text games are conjunctions under ``exists``. They become one flat list of atoms
over renamed variables and are checked by a join: each variable takes the values that its
unchanging atoms allow, and an atom is looked up as soon as its variables are bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from tratree_cli.envs.alfworld.pddl import Node, PddlError, typed_list

Atom = tuple[str, ...]
Holds = Callable[[Atom], bool]


@dataclass(frozen=True)
class GoalCondition:
    """``variables`` in order of binding with their types, positive atoms, and unequal pairs."""

    variables: tuple[tuple[str, str], ...]
    atoms: tuple[Atom, ...]
    unequal: tuple[tuple[str, str], ...]


def parse_goal(node: Node) -> GoalCondition:
    """Flatten a goal; PddlError names a connective that no text game uses."""
    fresh = count()
    variables: list[tuple[str, str]] = []
    atoms: list[Atom] = []
    unequal: list[tuple[str, str]] = []

    def walk(node: Node, names: Mapping[str, str]) -> None:
        if not isinstance(node, list) or not node or not isinstance(node[0], str):
            raise PddlError("its goal is not an expression")
        head, arguments = node[0], node[1:]
        if head == "and":
            for part in arguments:
                walk(part, names)
        elif head == "exists" and len(arguments) == 2 and isinstance(arguments[0], list):
            inner = dict(names)
            for name, kind in typed_list(arguments[0]):
                inner[name] = f"{name}.{next(fresh)}"
                variables.append((inner[name], kind))
            walk(arguments[1], inner)
        elif head == "not" and len(arguments) == 1 and _words(arguments[0])[0] == "=":
            _, left, right = _words(arguments[0])
            unequal.append((names.get(left, left), names.get(right, right)))
        elif head in ("or", "not", "forall", "imply", "when", "exists", "="):
            raise PddlError(f"its goal uses '{head}', which no ALFWorld game does")
        else:
            predicate, *rest = _words(node)
            atoms.append((predicate, *(names.get(word, word) for word in rest)))

    walk(node, {})
    return GoalCondition(tuple(variables), tuple(atoms), tuple(unequal))


def _words(node: Node) -> list[str]:
    symbols = [word for word in node if isinstance(word, str)] if isinstance(node, list) else []
    if not symbols or len(symbols) != len(node):
        raise PddlError("its goal holds an expression where a name should be")
    return symbols


@dataclass(frozen=True)
class _BoundVariable:
    """One variable: its values, and the atoms and inequalities that are complete with it."""

    variable: str
    values: tuple[str, ...]
    atoms: tuple[Atom, ...]
    unequal: tuple[tuple[str, str], ...]


class GoalCheck:
    """A goal bound to one house: ``check(holds)``: whether it is reached.

    ``fixed`` gives for predicates that never change whether an atom is true, ``changing`` names
    the other predicates, ``things`` lists the names of each type.
    """

    def __init__(
        self,
        goal: GoalCondition,
        things: Mapping[str, Sequence[str]],
        fixed: Holds,
        changing: frozenset[str],
    ) -> None:
        self._levels: list[_BoundVariable] = []
        self._loose = [atom for atom in goal.atoms if not _variables(atom, goal)]
        bound: set[str] = set()
        for variable, kind in goal.variables:
            bound.add(variable)
            own = [a for a in goal.atoms if variable in a and _variables(a, goal) <= bound]
            filters = [a for a in own if a[0] not in changing and _variables(a, goal) == {variable}]
            values = tuple(
                thing
                for thing in things.get(kind, ())
                if all(fixed(_bind(atom, {variable: thing})) for atom in filters)
            )
            unequal = [p for p in goal.unequal if variable in p and _others(p, goal) <= bound]
            atoms = tuple(atom for atom in own if atom not in filters)
            self._levels.append(_BoundVariable(variable, values, atoms, tuple(unequal)))

    def candidates(self) -> list[tuple[str, ...]]:
        """The values that each variable may take, in order of binding."""
        return [level.values for level in self._levels]

    def check(self, holds: Holds) -> bool:
        """Whether some choice of values makes every atom true."""
        return all(map(holds, self._loose)) and self._search(0, {}, holds)

    def _search(self, depth: int, binding: dict[str, str], holds: Holds) -> bool:
        if depth == len(self._levels):
            return True
        level = self._levels[depth]
        for value in level.values:
            binding[level.variable] = value
            if (
                all(holds(_bind(atom, binding)) for atom in level.atoms)
                and all(binding.get(a, a) != binding.get(b, b) for a, b in level.unequal)
                and self._search(depth + 1, binding, holds)
            ):
                return True
        return False


def _bind(atom: Atom, binding: Mapping[str, str]) -> Atom:
    return (atom[0], *(binding.get(word, word) for word in atom[1:]))


def _variables(atom: Atom, goal: GoalCondition) -> set[str]:
    return {word for word in atom[1:] if word in dict(goal.variables)}


def _others(pair: tuple[str, str], goal: GoalCondition) -> set[str]:
    return {word for word in pair if word in dict(goal.variables)}
