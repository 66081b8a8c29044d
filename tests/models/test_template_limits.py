"""A chat template of unknown origin has limits of time, memory and size."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests.tiny_models import CONVERSATION
from tratree_cli.errors import InputError
from tratree_cli.models import template_limits
from tratree_cli.models.chat_encoding import TurnEncoder
from tratree_cli.models.masks import encode_conversation
from tratree_cli.models.template_limits import rendered, require_bounded
from tratree_cli.resources import templates_dir

LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
DOUBLES = (
    "{% set n = namespace(x='abcdefgh') %}{% for a in range(60) %}{% set n.x = n.x + n.x %}"
    "{% endfor %}"
)
FORMATS = "{{ '%9999999999d' % 1 }}"
CENTRES = "{{ 'x'.center(9999999999) }}"
LONG = "{% for a in range(999) %}" + "x" * 50 + "{% endfor %}"
MARKED = (
    "{{% for m in messages %}}{{% if m.role == 'assistant' %}}{{% generation %}}{{{{ m.content }}}}"
    "</s>{{% endgeneration %}}{{% else %}}{{{{ m.content }}}}{{% endif %}}{{% endfor %}}{}"
)


@pytest.fixture(autouse=True)
def _less_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_limits, "SECONDS", 60.0)
    monkeypatch.setattr(template_limits, "MEMORY_BYTES", 256 << 20)


def encode(template: str) -> str:
    """What training and acting say about a template; both must refuse it."""
    tokenizer = AutoTokenizer.from_pretrained(templates_dir() / "models" / "tratree-s")
    tokenizer.chat_template = MARKED.format(template)
    with pytest.raises(InputError) as acting:
        TurnEncoder(tokenizer)
    with pytest.raises(InputError) as training:
        encode_conversation(tokenizer, CONVERSATION)
    for caught in (acting, training):
        assert "\n" not in str(caught.value)
    return f"{acting.value} {training.value}"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (LOOPS, "ran for more than 0.5 s"),
        (DOUBLES, "of memory"),
        (FORMATS, "of memory"),
        (CENTRES, "of memory"),
        (LONG, "characters of"),
        ("{{ 9 ** 9 ** 9 }}", "raises to a power in line 1"),
        ("{% set x = 'a' * 99999999999 %}", "multiplies by what is no small constant"),
        ("{{ messages[0].content * messages|length }}", "no small constant"),
        ("{{ 1 / 0 }}", "cannot render"),
        ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "cannot render"),
        ("{% for %}", "cannot render"),
        ("{{ " + "(" * 5000 + ")" * 5000 + " }}", "cannot render"),
    ],
)
def test_a_hostile_template_is_refused_in_a_sentence(
    template: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_limits, "OUTPUT_CHARACTERS", 10_000)
    if template == LOOPS:
        monkeypatch.setattr(template_limits, "SECONDS", 0.5)
    before = resource.getrlimit(resource.RLIMIT_AS)
    assert encode(template).count(said) == 2
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_a_template_that_is_too_large_is_refused() -> None:
    with pytest.raises(InputError, match="the most that are read"):
        require_bounded("x" * (template_limits.TEMPLATE_BYTES + 1))


@pytest.mark.parametrize("path", sorted((templates_dir() / "chat").glob("*.jinja")), ids=str)
def test_the_shipped_templates_are_within_the_limits(path: Path) -> None:
    require_bounded(path.read_text("utf-8"))


def test_a_small_constant_may_be_multiplied_by() -> None:
    assert rendered("{{ ' ' * 4 }}{{ 2 * loop }}", lambda: "text") == "text"


def test_nothing_interrupts_what_comes_after_a_rendering() -> None:
    for _ in range(20):
        rendered("x", lambda: None)
    assert sum(range(10_000_000)) > 0
