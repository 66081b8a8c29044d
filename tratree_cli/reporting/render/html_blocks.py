"""Trajectory trees and side-by-side trajectories in the report's page.

A tree is drawn, and stands below its drawing as a nested list of ``details``: that folds without a
script and is read aloud in order. The best path and the first levels stand open; each node shows
its action, and unfolds the observation and thought behind it (also shown on hovering).
"""

from __future__ import annotations

import html

from tratree_cli.display.blocks import Branch, Comparison, Lane, Outline, Turn
from tratree_cli.display.text import inert, one_line
from tratree_cli.reporting.render import tree_svg

BRANCHES_SHOWN = 400
"""Nodes of one tree that a page shows; the artifact and ``tratree show`` have them all."""
_DETAIL = 1200
_TURN = 600


def outline_html(outline: Outline) -> str:
    """A tree as a drawing, and as a folding list that is cut at ``BRANCHES_SHOWN`` nodes."""
    left = [BRANCHES_SHOWN]
    body = _branch(outline.root, 0, left)
    more = f'<p class="note">… {-left[0]} more nodes are not shown.</p>' if left[0] < 0 else ""
    task = html.escape(one_line(outline.root.text, _TURN))
    legend = (
        "Diamond: a divergence point. Thick line: the best path. Fill: G, the stronger the higher."
    )
    return (
        f"<blockquote>{task}</blockquote>{tree_svg.drawing(outline)}"
        f'<p class="note">{legend}</p>'
        '<details class="listing"><summary>The tree as a list, with what was seen and thought'
        f'</summary><div class="scroll" role="region" tabindex="0" aria-label="Tree as a list">'
        f'<ul class="tree">{body}</ul></div>{more}</details>'
    )


def _branch(branch: Branch, depth: int, left: list[int]) -> str:
    left[0] -= 1
    if left[0] < 0:
        for child in branch.children:
            _branch(child, depth + 1, left)
        return ""
    kind = ' class="onpath"' if branch.best else ""
    children = "".join(_branch(child, depth + 1, left) for child in branch.children)
    detail = _detail(branch.detail)
    label = _label(branch)
    if not children and not detail:
        return f'<li{kind}><span class="leaf">{label}</span></li>'
    fold = " open" if branch.best or depth < 1 else ""
    below = f"<ul>{children}</ul>" if children else ""
    return f"<li{kind}><details{fold}><summary>{label}</summary>{detail}{below}</details></li>"


def _label(branch: Branch) -> str:
    hover = html.escape(one_line(branch.detail, 300))
    title = f' title="{hover}"' if hover else ""
    text = f'<span class="act"{title}>{html.escape(one_line(branch.text, 240))}</span>'
    if branch.value is not None:
        text += f' <span class="soft">G {branch.value:.2f}</span>'
    if branch.visits is not None:
        text += f' <span class="soft">n {branch.visits}</span>'
    if branch.best:
        text += ' <span class="tag path">best path</span>'
    if branch.divergence:
        text += ' <span class="tag parts">diverges</span>'
    return text


def _detail(text: str) -> str:
    if not text:
        return ""
    return (
        '<details class="texts"><summary>seen and thought</summary>'
        f"<pre>{_cut(text, _DETAIL)}</pre></details>"
    )


def comparison_html(comparison: Comparison) -> str:
    """Lanes side by side; from the first difference on, steps carry a mark."""
    lanes = "".join(_lane(lane) for lane in comparison.lanes)
    instruction = html.escape(inert(comparison.instruction))
    return f'<blockquote>{instruction}</blockquote><div class="lanes">{lanes}</div>'


def _lane(lane: Lane) -> str:
    turns = "".join(_turn(turn) for turn in lane.turns)
    outcome = html.escape(one_line(lane.outcome))
    label = html.escape(one_line(lane.label))
    return (
        f'<div class="lane"><h4>{label}</h4><ol>{turns}</ol><p><strong>{outcome}</strong></p></div>'
    )


def _turn(turn: Turn) -> str:
    kind = ' class="differs"' if turn.differs else ""
    score = "" if turn.score is None else f' <span class="soft">({turn.score:.2f})</span>'
    thought = f'<div class="thought">{_cut(turn.thought, _TURN)}</div>' if turn.thought else ""
    seen = ""
    if turn.observation:
        observation = _cut(turn.observation, _TURN)
        seen = f'<details class="seen"><summary>seen</summary><pre>{observation}</pre></details>'
    action = html.escape(one_line(turn.action, 240))
    return f'<li{kind}>{thought}<span class="act">{action}</span>{score}{seen}</li>'


def _cut(text: str, length: int) -> str:
    flat = inert(text)
    return html.escape(flat if len(flat) <= length else flat[:length] + "…")
