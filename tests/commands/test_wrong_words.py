"""A word that is nearly known is answered with the known one, before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Command
from tratree_cli.commands.report import check_output
from tratree_cli.commands.show import check_format
from tratree_cli.errors import InputError, did_you_mean


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explor"], "there is no command 'explor' (did you mean 'explore'?)"),
        (["build_tree"], "(did you mean 'build-tree'?)"),
        (["evaluate"], "(did you mean 'eval'?)"),
        (["eval", "tratree-x", "-n"], "(did you mean 'tratree-"),
        (["eval", "--policy", "expertt", "-n"], "(did you mean 'expert'?)"),
        (["eval", "--policy", "openia:x", "-n"], "(did you mean 'openai'?)"),
        (
            ["eval", "--policy", "zzz", "-n"],
            "no policy or model 'zzz'; policies are expert, random",
        ),
        (["eval", "model:0123", "-n"], "no artifact in the store answers to 'model:0123'"),
        (
            ["explore", "--polcy", "x"],
            "no option '--polcy' of `tratree explore` (did you mean '--policy'?)",
        ),
        (["--fersion"], "no option '--fersion' of `tratree` (did you mean '--version'?)"),
        (["explore", "-m", "0"], "invalid value for '-m' / '--samples'"),
        (["env", "lst"], "no command 'lst' of `tratree env` (did you mean 'list'?)"),
        (["store", "name"], "missing argument 'NAME'; `tratree store name --help`"),
        (["report", "--format", "text", "-n"], "(did you mean 'terminal'?)"),
        (["explore", "--tasks", "abc", "-n"], "no task 'abc' in the split 'train'; it has"),
        (["explore", "--tasks", "99999"], "there is no task '99999' in the split 'train'; it has"),
        (["explore", "--store", "/proc/x", "--policy", "expert"], "use another folder"),
    ],
    ids=" ".join,
)
def test_the_nearest_word_is_named_and_nothing_runs(
    tratree: Command, tmp_path: Path, words: list[str], said: str
) -> None:
    done = tratree(*words)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("tratree: ")]) == 1
    assert not list(tmp_path.glob(".tratree/objects/*"))


def test_no_number_is_proposed_for_a_number() -> None:
    assert did_you_mean("99999", ["998", "9999"]) == ""
    assert did_you_mean("0.1", ["0.11"]) == ""


def test_the_format_follows_the_suffix(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, form in (("r.html", "html"), ("r.md", "markdown"), ("r.tex", "latex")):
        assert check_output(None, Path(name)) == form
    assert check_output(None, Path("r.weird")) == "terminal"
    assert check_output("csv", Path("r.html")) == "csv"
    with pytest.raises(InputError, match=r"a browser prints of the page; write report.html"):
        check_output(None, Path("r.pdf"))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with pytest.raises(InputError, match="--output"):
        check_output("html", None)
    with pytest.raises(InputError, match=r"> tree\.html"):
        check_format("html")


def test_help_is_a_command_too(tratree: Command) -> None:
    assert tratree("help", "mcts").stdout == tratree("mcts", "--help").stdout
    assert "Stages" in tratree("help").stdout


def test_the_help_of_a_stage_shows_its_own_options_before_those_of_all(tratree: Command) -> None:
    shown = tratree("mine-pairs", "--help").stdout
    order = [
        "--min-gap",
        "Inputs and settings",
        "--recipe",
        "Running",
        "--jobs",
        "Output",
        "--json",
    ]
    places = [shown.index(word) for word in order]
    assert places == sorted(places)


def test_the_version_names_what_decides_the_figures(tratree: Command) -> None:
    short, long = tratree("-V"), tratree("--version")
    assert short.stdout == long.stdout
    assert "Python 3." in short.stdout and "torch" in short.stdout


def test_color_is_chosen_for_one_call(tratree: Command) -> None:
    assert "\x1b[" in tratree("--color", "always", "store", "ls", "--help").stdout
    assert "\x1b[" not in tratree("--color", "never", "store", "ls", "--help").stdout
    assert tratree("--color", "sometimes", "store", "ls").returncode == 2


@pytest.mark.parametrize(
    ("words", "incomplete", "found"),
    [
        ("sft --recipe", "mi", "micro"),
        ("sft --env", "web", "webshop"),
        ("sft --set", "dpo.be", "dpo.beta="),
        ("sft --set", "sft.weak.ep", "sft.weak.epochs="),
        ("train-strong --method", "tree-dpo/n", "tree-dpo/nll-only"),
        ("run --methods", "mcts,tree-joint/sw", "mcts,tree-joint/swapped"),
        ("report --format", "mark", "markdown"),
        ("eval --split", "se", "seen"),
    ],
)
def test_the_shell_completes_values(
    tratree: Command, words: str, incomplete: str, found: str
) -> None:
    asked = {
        "_TRATREE_COMPLETE": "complete_bash",
        "COMP_WORDS": f"tratree {words} {incomplete}",
        "COMP_CWORD": str(len(words.split()) + 1),
    }
    assert found in tratree(environment=asked).stdout
