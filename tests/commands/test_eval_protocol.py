"""``eval --protocol`` from the command line: played, cached, told apart, refused in a sentence."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.command_line import Folder

OWN = """
version = 3
[webshop]
tasks = "0-7"
parameters = { max_steps = 6 }
success = "full-score"
needs = { "product records" = 660 }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(tmp_path, monkeypatch)


def test_an_evaluation_under_a_protocol_is_cached_by_it_and_reported_apart(
    folder: Folder, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    call = ("eval", "--policy", "expert", "--protocol", str(own))
    first = folder(*call, "--json")
    assert first.code == 0, first.err
    assert first.json["summary"]["tasks"] == 8
    assert first.json["summary"]["success_rate"] == first.json["summary"]["strict_success_rate"]
    assert folder(*call, "--frozen", "--json").json["ref"] == first.json["ref"]
    plain = folder("eval", "--policy", "expert", "--limit", "8", "--json")
    assert plain.json["ref"] != first.json["ref"]
    report = folder("report", "--existing", "--format", "markdown")
    assert report.code == 0, report.err
    text = report.out.replace("\\", "")
    content = hashlib.sha256(own.read_bytes()).hexdigest()[:8]  # two files may have one name
    assert f"WebShop (test (own 3 {content}))" in text
    assert f"different protocols (own 3 {content}, the recipe's own setting)" in text


def test_a_flag_against_the_protocol_and_data_without_it_are_refused(folder: Folder) -> None:
    call = ("eval", "--policy", "expert", "--protocol")
    folder(*call, "eto", "--limit", "5").refused("the protocol 'eto' sets eval.limit to 0, not 5")
    folder(*call, "verl-agent").refused("1,000 product records", "tratree env fetch webshop")
    folder(*call, "etto").refused("did you mean 'eto'")


def test_a_report_of_given_evaluations_refuses_what_says_what_to_evaluate(folder: Folder) -> None:
    given = folder("eval", "--policy", "expert", "--limit", "2", "--json").json["ref"]
    for flag in ("--controls", "--methods=mcts"):
        folder("report", given, flag).refused("says what to evaluate, but evaluations are given")
