"""The plan: pure, independent of order, the fewest passes, nothing dropped in silence, printed without torch."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterburn_core.errors import ConfigError, PluginError
from afterburn_core.plugin.registry import Plugin, Registered, Registry
from afterburn_core.plugin.specs import AnalyzerSpec, DetectorSpec
from afterburn_core.run.asks import asked
from afterburn_core.run.configuration import Settings
from afterburn_core.run.needs import DOCUMENTS, DocumentsNeed, Need, WeightsNeed, merge_needs
from afterburn_core.run.opening import open_pair
from afterburn_core.run.plan import Plan, make_plan
from afterburn_core.run.subjects import SubjectFacts
from afterburn_core.testing.pairs import adapter_pair, identity_pair

PLUGIN = Plugin(name="mine", distribution="afterburn-mine", version="1", module=ModuleType("mine"))
NEEDS: tuple[Need, ...] = (
    DocumentsNeed(),
    DocumentsNeed(documents=("config",)),
    DocumentsNeed(documents=("tokenizer", "vocabulary")),
    WeightsNeed(),
    WeightsNeed(quantities=("tensors",)),
    WeightsNeed(quantities=("sums", "tensors")),
)


def facts(role: str, *, capabilities: tuple[str, ...] = ("documents", "weights"), size: int = 1000) -> SubjectFacts:
    return SubjectFacts(
        role=role,  # type: ignore[arg-type]
        kind="checkpoint",
        label=role,
        backend="core.checkpoint",
        capabilities=capabilities,  # type: ignore[arg-type]
        bytes=size,
        tensors=3,
        parameters=size // 2,
    )


def analyzer(name: str, *needs: Need) -> Registered:
    spec = AnalyzerSpec(name=f"mine.{name}", summary=name, needs=needs, metrics=(), factory="mine:x")
    return Registered(spec=spec, plugin=PLUGIN)


def detector(name: str) -> Registered:
    return Registered(spec=DetectorSpec(name=f"mine.{name}", summary=name, rules=(), factory="mine:x"), plugin=PLUGIN)


BOTH = (facts("base"), facts("trained"))


def test_all_analyzers_of_a_kind_share_one_pass() -> None:
    plan = make_plan(
        BOTH,
        [analyzer("a", WeightsNeed()), analyzer("b", WeightsNeed(quantities=("tensors",))), analyzer("c", *NEEDS[:1])],
        [],
    )
    assert [(p.component, p.analyzers) for p in plan.passes] == [
        ("core.documents_pass", ("mine.c",)),
        ("core.weights_pass", ("mine.a", "mine.b")),
    ]
    assert plan.passes[1].need == WeightsNeed(quantities=("sums", "tensors"))


def test_an_analyzer_with_two_needs_rides_on_two_passes() -> None:
    plan = make_plan(BOTH, [analyzer("a", DocumentsNeed(), WeightsNeed())], [])
    assert [p.analyzers for p in plan.passes] == [("mine.a",), ("mine.a",)]
    assert plan.analyzers == ("mine.a",)


def test_passes_nobody_needs_are_not_planned() -> None:
    assert make_plan(BOTH, [], [detector("d")]).passes == ()
    assert [p.kind for p in make_plan(BOTH, [analyzer("a", DocumentsNeed())], []).passes] == ["documents"]


@given(
    st.lists(st.tuples(st.integers(0, 99), st.sets(st.sampled_from(NEEDS), min_size=1)), unique_by=lambda a: a[0]),
    st.lists(st.integers(0, 99), unique=True, max_size=4),
    st.sampled_from([("documents", "weights"), ("weights",), ("documents",), ()]),
    st.randoms(use_true_random=False),
)
def test_plans_are_pure_whole_and_independent_of_order(
    analyzers: list[tuple[int, set[Need]]], detectors: list[int], offered: tuple[str, ...], chance: random.Random
) -> None:
    subjects = (facts("base"), facts("trained", capabilities=offered))
    registered = [analyzer(f"a{number}", *sorted(needs, key=repr)) for number, needs in analyzers]
    judges = [detector(f"d{number}") for number in detectors]
    plan = make_plan(subjects, registered, judges, threads=2)
    shuffled = [
        attrs.evolve(r, spec=attrs.evolve(r.spec, needs=tuple(chance.sample(r.spec.needs, len(r.spec.needs)))))
        for r in chance.sample(registered, len(registered))
    ]

    assert make_plan(subjects, shuffled, chance.sample(judges, len(judges)), threads=2) == plan
    kinds = [planned.kind for planned in plan.passes]
    assert len(kinds) == len(set(kinds)), "one pass of a kind serves everybody"
    # every analyzer runs or is skipped with a reason
    assert sorted((*plan.analyzers, *(s.component for s in plan.skipped))) == sorted(r.spec.name for r in registered)
    assert all(s.reason and not s.applicable for s in plan.skipped)
    for r in registered:
        possible = {need.kind for need in r.spec.needs} <= set(offered)
        assert (r.spec.name in plan.analyzers) == possible
        if possible:
            assert {p.kind for p in plan.passes if r.spec.name in p.analyzers} == {n.kind for n in r.spec.needs}
    assert set(plan.components) == {p.component for p in plan.passes} | {r.spec.name for r in (*registered, *judges)}
    assert len(plan.components) == len(set(plan.components))
    json.dumps(plan.to_dict(), allow_nan=False)


@given(st.permutations(NEEDS))
def test_merged_needs_do_not_depend_on_their_order(needs: list[Need]) -> None:
    merged = merge_needs(needs)
    assert list(merged) == ["documents", "weights"]
    assert merged["documents"] == DocumentsNeed(documents=tuple(sorted(DOCUMENTS)))
    assert merged["weights"] == WeightsNeed(quantities=("sums", "tensors"))


def test_what_a_subject_cannot_offer_skips_the_analyzer_with_the_subject_and_the_reason() -> None:
    subjects = (facts("base"), facts("trained", capabilities=("documents",)))
    plan = make_plan(subjects, [analyzer("a", WeightsNeed()), analyzer("b", DocumentsNeed())], [])
    (skipped,) = plan.skipped
    assert skipped.component == "mine.a"
    assert skipped.reason == "needs weights, which trained cannot offer"
    assert plan.analyzers == ("mine.b",)
    assert "mine.a" in plan.components, "its record is asked for later"


def test_costs_are_the_bytes_of_both_sides() -> None:
    plan = make_plan(
        (facts("base", size=3_000_000_000), facts("trained", size=1_000_000_000)), [analyzer("a", WeightsNeed())], []
    )
    assert (plan.passes[0].bytes, plan.digest_bytes) == (4_000_000_000, 4_000_000_000)
    faster = make_plan(plan.subjects, [analyzer("a", WeightsNeed())], [], threads=4)
    assert faster.passes[0].seconds == pytest.approx(plan.passes[0].seconds / 4)


def opened_plan(pair_settings: Settings) -> Plan:
    opened = open_pair(pair_settings, Registry.discover(only=("weight",)))
    opened.close()
    return opened.plan


def test_the_plan_of_an_adapter_is_that_of_a_checkpoint_with_a_pass_over_its_factors(tmp_path: Path) -> None:
    whole, adapter = identity_pair(tmp_path / "whole"), adapter_pair(tmp_path / "adapter")
    plans = [opened_plan(Settings(base=str(p.base), trained=str(p.trained))) for p in (whole, adapter)]
    of_factors = {"core.factors_pass"}
    assert {p.component for p in plans[1].passes} - {p.component for p in plans[0].passes} == of_factors
    assert set(plans[1].components) - set(plans[0].components) == of_factors
    lacking = {s.component for s in plans[0].skipped} - {s.component for s in plans[1].skipped}
    assert {"weight.adapter", "weight.merge"} >= lacking >= {"weight.adapter"}
    sizes = {p.component: p.bytes for plan in plans[::-1] for p in plan.passes}
    stored = sum((side / "model.safetensors").stat().st_size for side in (whole.base, whole.trained))
    assert sizes["core.weights_pass"] == stored
    assert sizes["core.factors_pass"] == (adapter.trained / "adapter_model.safetensors").stat().st_size
    assert plans[1].subjects[1].kind == "adapter"


def test_a_single_weight_file_has_no_documents_and_the_plan_says_so(tmp_path: Path) -> None:
    pair = identity_pair(tmp_path)
    plan = opened_plan(Settings(base=str(pair.base), trained=str(pair.trained / "model.safetensors")))
    assert [(s.component, s.reason) for s in plan.skipped if "documents" in s.reason] == [
        ("weight.documents", "needs documents, which trained cannot offer")
    ]


_WITHOUT_TORCH = """
import sys
from afterburn_core.cli.main import run
code = run(["plan", "--base", sys.argv[1], "--trained", sys.argv[2], *sys.argv[3:]])
heavy = {"torch", "numpy", "transformers", "safetensors", "peft"} & sys.modules.keys()
print(sorted(heavy), code, file=sys.stderr)
"""


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["text", "json"])
def test_planning_imports_no_torch_and_reads_no_weights(tmp_path: Path, flags: list[str]) -> None:
    pair = identity_pair(tmp_path)
    finished = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, str(pair.base), str(pair.trained), *flags],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.stderr.strip() == "[] 0"
    if flags:
        assert [p["pass"] for p in json.loads(finished.stdout)["passes"]] == [
            "core.documents_pass",
            "core.weights_pass",
            "core.generation_pass",
            "core.forward_pass",
        ]
    else:
        assert "weight.delta" in finished.stdout


def needs_of_width(width: int) -> tuple[Need, ...] | str | int:
    """What the analyzer of the next test needs at a width of its options; 0 and below are slips."""
    return (WeightsNeed(quantities=("tensors",)),) if width > 1 else "no width was given" if width else 0


@attrs.frozen(kw_only=True)
class Width:
    width: int = 1


def asks(options: Width) -> object:
    return needs_of_width(options.width)


def test_an_analyzer_is_planned_with_what_its_options_ask_for() -> None:
    spec = AnalyzerSpec(
        name="mine.wide",
        summary="wide",
        needs=(WeightsNeed(),),
        metrics=(),
        factory="mine:x",
        options=Width,
        asks=f"{asks.__module__}:asks",
    )
    plain, wide = analyzer("plain", DocumentsNeed()), Registered(spec=spec, plugin=PLUGIN)

    settled = asked([plain, wide], {"mine.wide": {"width": 3}})
    plan = make_plan(BOTH, settled.analyzers, (), idle=settled.idle)
    assert settled.analyzers[0] is plain and plan.analyzers == ("mine.plain", "mine.wide")
    (weights,) = (one for one in plan.passes if one.kind == "weights")
    assert weights.need == WeightsNeed(quantities=("tensors",))

    settled = asked([plain, wide], {})
    plan = make_plan(BOTH, settled.analyzers, (), idle=settled.idle)
    assert plan.analyzers == ("mine.plain",) and [one.kind for one in plan.passes] == ["documents"]
    assert [(one.component, one.reason, one.applicable) for one in plan.skipped] == [
        ("mine.wide", "no width was given", False)
    ]

    with pytest.raises(PluginError, match="mine.wide: .* answers 0, neither declared needs nor a reason"):
        asked([wide], {"mine.wide": {"width": 0}})
    with pytest.raises(ConfigError, match="unknown key 'widht', did you mean 'width'"):
        asked([wide], {"mine.wide": {"widht": 2}})
