"""What a trace looks like: on terminals of any width, and as a page."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from itertools import pairwise

import attrs
import pytest
from rich.console import Console

from afterburn_core.report.trace_html import render
from afterburn_core.report.trace_terminal import summary
from afterburn_core.result.model import Interval
from afterburn_core.trace.model import Block, Control, Effect, Outcome, Step, Table, Trace
from afterburn_core.trace.session import dumps
from afterburn_core.trace.shares import Share
from afterburn_core.trace.statement import percent, statement


def share(value: float, reach: float = 0.1) -> Share:
    return Share(value=value, interval=Interval(low=value - reach, high=value + reach, level=0.95, method="test"))


def block(label: str, alone: float, lost: float | None = None) -> Block:
    return Block(
        label=label, places=3, parameters=0.25, energy=0.5, alone=share(alone),
        lost=share(alone if lost is None else lost),
    )  # fmt: skip


EFFECT = Effect(value=1.95, low=1.81, high=2.09, none=0.0, unit="1", n=60, groups=20)
CONTROL = Control(matched="energy", alone=(0.12, -0.04, 0.31), p_value=0.25, exceeded=True)
ANSWER = block("layers 12–15 MLP", 0.9)


def example(outcome: Outcome = "carried", **changes: object) -> Trace:
    path = (
        Step(division="half of the layers", blocks=(block("layers 0–11", -0.2), block("layers 12–23", 0.95)),
             kept=block("layers 12–23", 0.95), control=CONTROL),
        Step(division="kind of part", blocks=(block("layers 12–23 attention", 0.1), ANSWER), kept=ANSWER,
             control=CONTROL),
        Step(division="layer", blocks=(block("layer 12 MLP", 0.4, 0.9), block("layer 13 MLP", 1.9)), kept=None),
    )  # fmt: skip
    answer = ANSWER if outcome in {"carried", "not_special"} else None
    found = Trace(
        metric="behaviour.length.log_ratio",
        subset=None,
        run="0" * 32,
        subjects={
            "base": {"label": "llama", "digest": "0" * 64},
            "trained": {"label": "llama-sft", "digest": "1" * 64},
        },
        settings={"share": 0.8},
        outcome=outcome,
        statement=statement(
            outcome, "behaviour.length.log_ratio", EFFECT, least=0.8, answer=answer, control=CONTROL, path=path
        ),
        effect=EFFECT,
        answer=answer,
        control=CONTROL if answer else None,
        path=path,
        table=Table(
            rows=("embeddings", "0–11", "12–23"),
            columns=("attention", "MLP", "norms and others"),
            cells=(
                (None, None, block("embeddings", 0.0)),
                (block("a", 0.3), block("b", 0.55), None),
                (None, ANSWER, None),
            ),
        ),
        notes=("answers are not read again",),
        evaluations=31,
    )
    return attrs.evolve(found, **changes)  # type: ignore[arg-type]


def printed(trace: Trace, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    summary(trace, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in text.splitlines())
    return str(text)


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_terminal_of_any_width_shows_the_answer_the_way_and_the_table(width: int) -> None:
    text = " ".join(printed(example(), width).split())
    assert "Found where it sits" in text
    assert "Layers 12–15 MLP carry 90 % [80, 100] of the change in behaviour.length.log_ratio" in text
    assert "no layer carries enough" in text and "55 % [45, 65]" in text and "31 % (p = 0.25)" in text
    assert "answers are not read again" in text


@pytest.mark.parametrize("outcome", ["carried", "not_special", "whole", "nothing", "unchanged", "interrupted"])
def test_every_outcome_has_a_sentence_a_page_and_a_summary(outcome: Outcome) -> None:
    trace = example(outcome)
    if outcome in {"nothing", "unchanged", "interrupted"}:
        trace = attrs.evolve(trace, path=(), table=None)
    headline = trace.statement.partition(". ")[0]
    assert trace.statement.endswith(".")
    page = render(trace).decode()
    assert headline in page and page == render(trace).decode()
    assert headline.split()[0] in printed(trace, 60)
    assert json.loads(dumps(trace))["outcome"] == outcome


class Reader(HTMLParser):
    """Collects the elements that could act."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attributes if name in {"href", "src", "action"}]


def test_the_page_asks_nothing_of_any_network_whatever_names_it_shows() -> None:
    hostile = "<script>alert(1)</script>\u202e\x1b[31m"
    trace = example(subset=hostile, notes=(hostile,), answer=block(hostile, 0.9))
    page = render(trace).decode()
    reader = Reader()
    reader.feed(page)
    assert "script" not in reader.tags and "\x1b" not in page and "\u202e" not in page
    assert all(address.startswith(("#", "data:,")) for address in reader.addresses)
    assert "\x1b[31m" not in printed(trace, 80)


def test_the_strongest_cell_of_the_map_is_the_darkest_and_the_answer_is_marked() -> None:
    page = render(example()).decode()
    assert 'class="heat-4 chosen"' in page and 'class="heat-2"' in page and 'class="blank"' in page


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.8, "80 % [70, 90]"), (-0.02, "−2 % [−12, 8]"), (-0.001, "0 % [−10, 10]"), (1.204, "120 % [110, 130]")],
)
def test_shares_are_written_in_whole_percent(value: float, text: str) -> None:
    assert percent(share(value)) == text


def test_interactions_are_said_in_words() -> None:
    def told(alone: float, lost: float, label: str = "layer 3 MLP") -> str:
        answer = block(label, alone, lost)
        return statement("carried", "m", EFFECT, least=0.8, answer=answer, control=CONTROL)

    assert "Layer 3 MLP carries 80 %" in told(0.8, 0.85) and "works only" not in told(0.8, 0.85)
    assert "more than it carries alone: the rest of the change works only together with that" in told(0.8, 1.2)
    assert "less than that: the rest of the change carries part of it too" in told(0.9, 0.2)
    assert "more than they carry alone" in told(0.8, 1.2, "layers 3–4")
    assert "Layer 3 attention and MLP carry" in told(0.8, 0.8, "layer 3 attention and MLP")


def test_labels_of_the_axis_have_room_beside_each_other() -> None:
    from afterburn_core.report.trace_html import _Scale

    for low, high in ((-0.53, 1.53), (-0.03, 1.03), (-0.03, 1.53), (-0.3, 0.95)):
        ticks = _Scale(low=low, high=high).ticks()
        assert 2 <= len(ticks) <= 5
        assert all(b - a > 15 for (a, _), (b, _) in pairwise(ticks))
