"""What reports say, in which order, and what they must not say."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs

from afterburn_core.report import presentation
from afterburn_core.report.cards import cards
from afterburn_core.report.contrast import LIMIT, contrast
from afterburn_core.report.evidence import collect
from afterburn_core.report.families import tables
from afterburn_core.report.grids import Grid
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Result, Scope
from afterburn_core.result.view import ResultView

sys.path.append(str(Path(__file__).parent))
from test_report_samples import clean, empty, execution, finding, rich, run


def figures(result: Result) -> dict[str, tuple[str, str, bool]]:
    return {c.label: (c.value, c.note, c.known) for c in cards(result, collect(ResultView(result)))}


def test_no_concerns_is_said_only_when_every_rule_passed_on_a_complete_run() -> None:
    good = clean()
    assert presentation.concerns(good) == "No concerns: all 2 rules that applied passed."
    spoilt = [
        attrs.evolve(good, findings=()),
        attrs.evolve(good, executions=good.executions[:1]),
        attrs.evolve(good, run=run(("weights", "weight.delta", "weight.more"))),
        attrs.evolve(good, run=run(("weights", "weight.delta"), status="interrupted")),
        attrs.evolve(good, verdict=attrs.evolve(good.verdict, status="incomplete")),
        attrs.evolve(good, executions=(good.executions[0], execution("weight.delta", 0, status="failed", reason="x"))),
        *(
            attrs.evolve(good, findings=(*good.findings, finding("weight.x", kind, "x")))
            for kind in ("fail", "review", "open")
        ),
    ]
    for document in spoilt:
        assert "no concerns" not in presentation.concerns(document).lower()


def test_undecided_rules_and_missing_components_are_called_so() -> None:
    text = presentation.concerns(rich())
    assert "1 rule could not be decided and counts as no pass" in text
    more = attrs.evolve(
        rich(), findings=tuple(attrs.evolve(f, kind="open", suppression=None) for f in rich().findings[:2])
    )
    assert "2 rules could not be decided and count as no pass" in presentation.concerns(more)
    assert "1 planned component did not finish" in text
    assert "1 finding waived" in text
    assert presentation.concerns(empty()) == "2 planned components did not finish; the run was interrupted."


def test_components_that_cannot_apply_are_not_missing() -> None:
    assert presentation.unfinished(rich()) == ("behaviour.judge",)


def test_findings_come_most_pressing_first_and_waived_after_unwaived() -> None:
    ordered = presentation.order_findings(rich().findings)
    kinds = [presentation.KINDS.index(f.kind) for f in ordered]
    assert kinds == sorted(kinds)
    assert [f.rule for f in ordered[:2]] == ["weight.outlier.layer", "behaviour.length"]
    assert presentation.order_findings(tuple(reversed(rich().findings))) == ordered


def test_cards_give_the_size_the_place_and_the_certainty_of_the_change() -> None:
    shown = figures(rich())
    assert shown["Relative change"][0] == "1.23 %"
    assert shown["Tensors changed"][0] == "188 of 193"
    assert shown["Coverage"][0] == "99.996 %"
    assert shown["Largest change"][:2] == ("5.22 %", "in layer 17 · down")
    assert shown["Above rounding"][0] == "7.41×"
    assert "6 of them approximate" in shown["Evidence"][1]
    assert shown["Rules passed"] == ("2 of 7", "1 failed, 2 to review, 1 undecided, 1 waived", True)


def test_cards_say_that_nothing_was_measured_rather_than_zero() -> None:
    bare = attrs.evolve(clean(), measurements=(), findings=())
    for label, (value, _, known) in figures(bare).items():
        assert not known, label
        assert not any(character.isdigit() for character in value)


def test_a_change_below_the_rounding_floor_is_called_inseparable() -> None:
    document = attrs.evolve(
        clean(), measurements=(measure("weight.delta.relative", 0.0008), measure("weight.rounding.floor", 0.00166))
    )
    assert figures(document)["Above rounding"][1].endswith("not separable from rounding")


def test_an_unchanged_model_has_no_largest_change() -> None:
    still = tuple(measure("weight.delta.relative", 0.0, scope=Scope(tensor=f"t{k}", layer=k)) for k in range(3))
    shown = figures(attrs.evolve(clean(), measurements=still))
    assert shown["Largest change"][0] == "None"
    assert shown["Tensors changed"][0] == "0 of 3"


def grid(*items: Measurement) -> dict[str, object]:
    made = Grid(metric="m", subjects=("base", "trained"))
    for item in items:
        made.add(item)
    return made.chart()


def at(value: float | None, **place: object) -> Measurement:
    scope = Scope(**place)  # type: ignore[arg-type]
    return measure("m", value, scope=scope) if value is not None else undefined("m", "why not", scope=scope)


def test_a_cell_shows_its_own_measurement_or_else_the_largest_tensor() -> None:
    chart = grid(
        at(0.5, layer=0, module="q"),
        at(9.0, layer=0, module="q", tensor="a"),
        at(-3.0, layer=1, module="q", tensor="b"),
        at(2.0, layer=1, module="q", tensor="c"),
    )
    assert chart["values"] == [[0.5], [-3.0]]
    assert chart["tensors"] == [[0], [2]]


def test_undefined_absent_and_zero_cells_differ() -> None:
    chart = grid(at(0.0, layer=0, module="q"), at(None, layer=1, module="q"), at(1.0, layer=1, module="k"))
    assert chart["columns"] == ["q", "k"]
    assert chart["values"] == [[0.0, None], [None, 1.0]]
    assert chart["states"] == [[1, 0], [2, 1]]
    assert chart["reasons"] == {"1,0": "why not"}


def test_layers_sort_by_number_and_what_lies_outside_comes_last() -> None:
    chart = grid(
        at(1.0, module="embed", tensor="e"),
        *(at(1.0, layer=k, module="q") for k in (10, 2)),
        at(1.0, layer=1, module="up", subset="vision"),
    )
    assert chart["rows"] == ["2", "10", "outside layers", "vision 1"]
    assert chart["columns"] == ["embed", "q", "up"]


def test_heads_and_sites_make_grids_of_their_own() -> None:
    assert grid(*(at(1.0, layer=0, head=h) for h in (10, 9)))["columns"] == ["head 9", "head 10"]
    chart = grid(at(1.0, site="blocks.3.mlp.out"), at(2.0, site="embed"))
    assert chart["rows"] == ["3", "outside layers"]
    assert chart["columns"] == ["embed", "mlp.out"]


def test_bars_prefer_what_was_measured_for_the_whole_layer() -> None:
    chart = grid(at(0.1, layer=0), at(0.2, layer=1), at(5.0, layer=0, module="q", tensor="a"))
    assert chart["by_layer"] == {"labels": ["0", "1"], "values": [0.1, 0.2], "derived": False}
    assert chart["by_module"] == {"labels": ["q"], "values": [5.0], "derived": True}


def test_the_largest_changes_are_ordered_and_ties_keep_document_order() -> None:
    values = (0.1, 0.3, 0.3, 0.2, 0.0)
    items = tuple(measure("weight.delta.relative", v, scope=Scope(tensor=f"t{k}")) for k, v in enumerate(values))
    found = collect(ResultView(attrs.evolve(clean(), measurements=items)), top=3).most_changed
    assert [item.scope.tensor for item in found] == ["t1", "t2", "t3"]


def test_families_unknown_to_this_release_get_a_table() -> None:
    extra = (measure("novel.thing", 3.0, subjects=("base",)), measure("novel.thing", 4.0, subjects=("trained",)))
    evidence = collect(ResultView(attrs.evolve(rich(), measurements=extra)))
    (family,) = tables(evidence, limit=10)
    assert family.columns == ("base", "trained")
    assert [entry.value for line in family.lines for entry in line.entries if entry] == ["3", "4"]


def test_tables_state_how_much_they_leave_out() -> None:
    items = tuple(measure(f"novel.m{k}", 1.0) for k in range(7))
    (family,) = tables(collect(ResultView(attrs.evolve(rich(), measurements=items))), limit=5)
    assert (len(family.lines), family.total) == (5, 7)


def test_contrast_marks_the_words_that_differ() -> None:
    sides = contrast("the cat sat", "the dog sat\n")
    assert [(r.text, r.differs) for r in sides.base] == [("the ", False), ("cat", True), (" sat", False)]
    assert [(r.text, r.differs) for r in sides.trained][-1] == ("\n", True)
    assert sides.trained[-1].marked == "↵\n"
    assert not any(r.differs for r in contrast("a" * (LIMIT + 1), "b").base)


def test_every_certainty_of_a_measurement_is_shown() -> None:
    evidence = collect(ResultView(rich()))
    item = next(m for m in rich().measurements if m.metric == "behaviour.length.shift")
    text = "; ".join(presentation.details(item, evidence))
    assert text == (
        "[0.12, 0.31] (95 %, bootstrap); n = 120; Cliff's delta = +0.41; "
        "p = 3.1e-4 (Wilcoxon); adjusted p = 0.0021 (holm)"
    )
