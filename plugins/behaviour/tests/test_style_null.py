"""False alarms: random halves of the same samples give shifts at no more than the nominal rate, for every rule."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from scipy.stats import binom

from afterburn_behaviour import contrasts
from afterburn_behaviour.contrasts import Asked, Family, measure_families
from afterburn_behaviour.style.decoding import endings
from afterburn_behaviour.style.formats import marks
from afterburn_behaviour.style.judge import StyleJudge
from afterburn_behaviour.style.length import lengths
from afterburn_behaviour.style.names import PATTERNS, STRATEGIES
from afterburn_behaviour.style.options import StyleOptions
from afterburn_behaviour.style.refusals import outcomes
from afterburn_behaviour.style.strategies import one_hot
from afterburn_behaviour.units import UnitTable
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.judge.evidence import Evidence
from afterburn_core.probes.model import Probe
from afterburn_core.result.model import Scope
from afterburn_core.stats import paired as paired_statistics

SPLITS = 200
ALPHA = 0.05
RULES = ("length_shift", "format_shift", "strategy_shift", "refusal_shift", "decoding_mismatch")
Values = Mapping[str, float | None]
TEXTS = runpy.run_path(str(Path(__file__).with_name("strategy_texts.py")))["TEXTS"]


def _families(table: UnitTable) -> list[Family]:
    """The families that the rules judge, under the names and metrics of the analyzers."""

    def family(name: str, asked: Sequence[Asked]) -> Family:
        return Family(name=f"behaviour.{name}", asked=tuple(asked), parts=((Scope(), table),))

    def rates(prefix: str, names: Sequence[str]) -> list[Asked]:
        return [Asked(key=n, metric=f"behaviour.{prefix}.{n}", scale="rate", sides=False) for n in names]

    refusal = Asked(key="full", metric="behaviour.refusal.rate", scale="rate", sides=False)
    cut = Asked(key="truncated", metric="behaviour.truncation.rate", scale="rate", sides=False)
    length = Asked(key="log_words", metric="behaviour.length.log_ratio", scale="mean", sides=False)
    return [
        family("length", [length]),
        family("format", rates("format", PATTERNS)),
        family("strategy", rates("strategy", STRATEGIES)),
        family("refusal", [refusal]),
        family("decoding.truncation", [cut]),
    ]


def _alarms(
    pools: Mapping[str, Sequence[Sample]], splits: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> dict[str, int]:
    """How often each rule tells of a shift between random halves of every prompt's samples."""
    # fewer sign flips and resamples than in a run: a p value of (1 + k)/(B + 1) is valid for any B
    for name in ("paired_contrasts", "paired_rate_contrasts"):
        original: Callable[..., Any] = getattr(paired_statistics, name)
        monkeypatch.setattr(contrasts, name, lambda *a, _f=original, **k: _f(*a, resamples=999, **k))
    known: dict[int, Values] = {}
    judged_keys = [one.key for family in _families(UnitTable()) for one in family.asked]

    def values(sample: Sample) -> Values:
        found = known.get(id(sample))
        if found is None:
            every = {**lengths(sample), **marks(sample), **one_hot(sample), **outcomes(sample), **endings(sample)}
            found = {key: every[key] for key in judged_keys}
            known[id(sample)] = found
        return found

    rng, judge = np.random.default_rng(seed), StyleJudge(StyleOptions())
    alarms = dict.fromkeys(RULES, 0)
    for _ in range(splits):
        table = UnitTable()
        for name, pool in pools.items():
            order = rng.permutation(len(pool))
            half = len(pool) // 2
            sides = [tuple(pool[k] for k in chosen) for chosen in (order[:half], order[half:])]
            table.observe(Responses(probe=Probe(id=name, prompt=name), base=sides[0], trained=sides[1]), values)
        measured = measure_families(_families(table), seed=int(rng.integers(2**32)))
        for finding in judge(Evidence(subjects=(), measurements=tuple(measured))):
            rule = finding.rule.removeprefix("behaviour.")
            alarms[rule] += finding.kind == ("review" if rule == "decoding_mismatch" else "informational")
    return alarms


def _bounded(alarms: Mapping[str, int], splits: int) -> None:
    """At most what 5 % gives in 99.9 % of such simulations; rules that rarely can fire may do so more rarely."""
    most = binom.ppf(0.999, splits, ALPHA)
    assert set(alarms) == set(RULES)
    for rule, n in alarms.items():
        assert n <= most, f"{rule}: {n} of {splits}"


@pytest.mark.slow
def test_halves_of_recorded_samples(recorded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten samples of one model per prompt, split 5 + 5 at random."""
    pools = {
        item.probe.id: [*item.base, *(attrs.evolve(s, index=s.index + 5) for s in item.trained)]
        for item in recorded("noveltybench_null_split")
    }
    assert all(len(pool) == 10 for pool in pools.values())
    _bounded(_alarms(pools, SPLITS, 11, monkeypatch), SPLITS)


@pytest.mark.slow
@pytest.mark.parametrize("n", [12, 50])
def test_halves_of_written_samples(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts that differ in what they call for; samples of a prompt are exchangeable. One sample per side."""
    rng = np.random.default_rng(7)
    known = [text for _, text in TEXTS] + [
        "I'm sorry, but I can't help with that.",
        "Sure! **Here** it is:\n- a\n- b",
    ] * 9
    pools = {}
    for i in range(n):
        favoured = rng.choice(len(known), 4)
        pools[f"p{i:03}"] = [
            Sample(
                index=k,
                text=" ".join(known[j] for j in rng.choice(favoured, rng.integers(1, 4))),
                finish="length" if rng.random() < 0.2 else "stop",
            )
            for k in range(2)
        ]
    splits = 250
    alarms = _alarms(pools, splits, 13, monkeypatch)
    _bounded(alarms, splits)
    assert alarms["length_shift"] >= binom.ppf(0.001, splits, ALPHA)  # it could fire


def test_a_planted_shift_is_told() -> None:
    """The harness of these tests is able to see one."""
    short, long = Sample(index=0, text="a b c"), Sample(index=1, text="a b c d e f g h i j")
    table = UnitTable()
    for i in range(30):
        probe = Probe(id=f"p{i}", prompt="?")
        table.observe(
            Responses(probe=probe, base=(short,), trained=(long,)),
            lambda s: {**lengths(s), **marks(s), **one_hot(s), **outcomes(s), **endings(s)},
        )
    measured = measure_families(_families(table), seed=1)
    kinds = {f.rule: f.kind for f in StyleJudge(StyleOptions())(Evidence(subjects=(), measurements=tuple(measured)))}
    assert kinds["behaviour.length_shift"] == "informational" and kinds["behaviour.format_shift"] == "open"
