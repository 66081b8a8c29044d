"""The main table of a study from its results file, with nothing but Python.

    python docs/study/recompute.py results.csv
    python docs/study/recompute.py a.csv b.csv --figure strict --against sft-more --methods mcts

A results file is what `tratree report --existing --format results -o results.csv` writes: one line
for each environment, split, method, variant, seed and order of training rows (`data_seed`). Several
files are read as one; a line that stands in two of them counts once.

For each environment and split: the figure of each policy, averaged over the orders of a seed before
anything else, then mean ± standard deviation (n - 1) over seeds; its difference from the policy of
`--against`; Welch's two-tailed t-test over seeds, and its p after Holm's correction for the
comparisons of this table that have one.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev, variance
from typing import NamedTuple

FIGURES = ("reward", "success", "strict", "finished")


class Policy(NamedTuple):
    method: str
    variant: str

    def __str__(self) -> str:
        return f"{self.method}/{self.variant}" if self.variant else self.method


Study = Mapping[tuple[str, str], Mapping[Policy, Mapping[str, float]]]
"""(environment, split) → policy → seed → figure, averaged over orders; in the files' order."""


def read(paths: Iterable[Path], figure: str) -> Study:
    """The figure of each seed, averaged over its orders; lines without the figure are left out."""
    runs: dict[tuple[str, str], dict[Policy, dict[str, dict[str, float]]]] = {}
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                if not line[figure]:
                    continue
                place = runs.setdefault((line["environment"], line["split"]), {})
                orders = place.setdefault(Policy(line["method"], line["variant"]), {})
                orders.setdefault(line["seed"], {})[line["data_seed"]] = float(line[figure])
    return {
        place: {
            policy: {seed: fmean(orders.values()) for seed, orders in seeds.items()}
            for policy, seeds in policies.items()
        }
        for place, policies in runs.items()
    }


def welch(own: Sequence[float], other: Sequence[float]) -> float | None:
    """p of Welch's two-tailed t-test; None for fewer than two runs or without any variation."""
    if min(len(own), len(other)) < 2:
        return None
    parts = [variance(runs) / len(runs) for runs in (own, other)]
    if sum(parts) < 1e-12:
        return None
    t = (fmean(own) - fmean(other)) / math.sqrt(sum(parts))
    # Welch-Satterthwaite
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(runs) - 1) for part, runs in zip(parts, (own, other), strict=True)
    )
    return two_tailed(t, freedom)


def two_tailed(t: float, freedom: float) -> float:
    """P(|T| > |t|) of Student's distribution: I_x(freedom / 2, 1 / 2) at x = f / (f + t²)."""
    return incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1.0 - incomplete_beta(1.0 - x, b, a)
    front = math.exp(
        a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    )
    value = 1.0
    for n in range(400, 0, -1):  # from the innermost term outwards
        m = n // 2
        if n % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        value = 1.0 + term / value
    return front / (a * value)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction; None stays None and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[place] = largest
    return corrected


def table(policies: Mapping[Policy, Mapping[str, float]], against: str) -> list[list[str]]:
    """Policy, mean ± sd, seeds, difference, p, p after Holm; the policy compared with in its place.

    Without that policy there are no differences.
    """
    base = next((seeds for policy, seeds in policies.items() if str(policy) == against), None)
    others = [p for p in policies if str(p) != against] if base is not None else []
    known = [list(base.values()) if base else [], *[list(policies[p].values()) for p in others]]
    raw = [welch(runs, known[0]) for runs in known[1:]]
    tests = dict(zip(others, zip(raw, holm(raw), strict=True), strict=True))
    rows = []
    for policy, seeds in policies.items():
        runs = list(seeds.values())
        spread = f" ± {stdev(runs):.1f}" if len(runs) > 1 else ""
        row = [str(policy), f"{fmean(runs):.1f}{spread}", str(len(runs)), "", "", ""]
        if policy in tests and base is not None:
            p, corrected = tests[policy]
            row[3:] = [f"{fmean(runs) - fmean(base.values()):+.1f}", _p(p), _p(corrected)]
        rows.append(row)
    return rows


def _p(p: float | None) -> str:
    if p is None:
        return "no test"
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--figure", choices=FIGURES, default="reward")
    parser.add_argument("--against", default="sft-strong", metavar="METHOD[/VARIANT]")
    parser.add_argument("--methods", default="", help="comma-separated; default: every method")
    parser.add_argument("--variants", action="store_true", help="rows of sweeps and controls too")
    asked = parser.parse_args(arguments)
    wanted = [name for name in asked.methods.split(",") if name]
    for (environment, split), policies in read(asked.files, asked.figure).items():
        shown = {
            policy: seeds
            for policy, seeds in policies.items()
            if str(policy) == asked.against
            or ((not wanted or policy.method in wanted) and (asked.variants or not policy.variant))
        }
        header = ["policy", asked.figure, "seeds", f"− {asked.against}", "Welch p", "Holm"]
        rows = [header, ["---"] * len(header), *table(shown, asked.against)]
        lines = [f"\n{environment}, {split}\n", *(f"| {' | '.join(row)} |" for row in rows)]
        sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
