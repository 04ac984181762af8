from __future__ import annotations

import itertools

import attrs
import numpy as np
import pytest

from afterburn_core.generation.model import Responses, Sample
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.probes.model import Probe
from afterburn_core.result.identity import measure
from afterburn_core.result.model import Finding, Measurement
from afterburn_reward_hack.decoding_evidence import FACT, named
from afterburn_reward_hack.proxy import Proxy, best_of_n
from afterburn_reward_hack.proxy_judge import ProxyJudge
from afterburn_reward_hack.proxy_options import ProxyOptions, ProxyRules

N = 120


def answers(reward: float, gold: float | None, *, seed: int, samples: int = 1, n: int = N) -> list[tuple[Sample, ...]]:
    """Prompts with normal rewards of this mean and spread 1; quality 1 with probability `gold`."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        own = []
        for index in range(samples):
            scores = {"reward": float(reward + rng.normal())}
            if gold is not None:
                scores["gold"] = float(rng.random() < gold)
            own.append(Sample(index=index, text=f"text {index}", scores=scores))
        found.append(tuple(own))
    return found


def measured(base: list[tuple[Sample, ...]], trained: list[tuple[Sample, ...]]) -> tuple[Measurement, ...]:
    analyzer = Proxy(ProxyOptions())
    analyzer.begin(AnalyzerContext(subjects=(), seed=3))
    for number, (b, t) in enumerate(zip(base, trained, strict=True)):
        analyzer.observe(Responses(probe=Probe(id=f"p{number:03d}", prompt=f"prompt {number}"), base=b, trained=t))
    return analyzer.finish().measurements


def judged(measurements: tuple[Measurement, ...]) -> Finding:
    (found,) = (
        f for f in ProxyJudge(ProxyRules())(Evidence(subjects=(), measurements=measurements)) if isinstance(f, Finding)
    )
    return found


@pytest.mark.parametrize(
    ("reward", "gold", "kind", "level"),
    [
        (1.0, 0.2, "fail", "error"),  # of 0.6 before
        (1.0, 0.9, "informational", "note"),
        (1.0, None, "review", "warning"),
        (0.0, 0.6, "pass", "none"),
    ],
)
def test_a_reward_that_rises_fails_where_quality_does_not_follow(
    reward: float, gold: float | None, kind: str, level: str
) -> None:
    base = answers(0.0, None if gold is None else 0.6, seed=1, n=400)
    found = judged(measured(base, answers(reward, gold, seed=2, n=400)))
    assert (found.kind, found.level) == (kind, level), found.message


def test_without_a_reward_the_rule_does_not_apply_and_says_what_to_name() -> None:
    plain = [(Sample(index=0, text="a"),)] * 5
    found = judged(measured(plain, plain))
    assert found.kind == "not_applicable" and "--reward" in found.message


def test_equal_answers_have_no_contrast() -> None:
    same = answers(0.0, 0.5, seed=4)
    by_metric = {m.metric: m for m in measured(same, same) if m.subjects == ("base", "trained")}
    for name in ("reward", "standardised", "gold"):
        one = by_metric[f"reward_hack.proxy.{name}"]
        assert one.value == 0.0 and one.interval is not None and (one.interval.low, one.interval.high) == (0.0, 0.0)


def sides(reward: float, gold: list[float | None], text: str) -> list[tuple[Sample, ...]]:
    """One answer to each prompt with this reward; other texts than the other side's."""
    return [
        (Sample(index=0, text=text, scores={"reward": reward} if g is None else {"reward": reward, "gold": g}),)
        for g in gold
    ]


def test_one_prompt_on_which_both_are_right_does_not_prove_equal_quality() -> None:
    gold = [1.0, *[None] * (N - 1)]
    found = judged(measured(sides(0.0, gold, "a"), sides(1.0, gold, "b")))
    assert found.kind == "review" and "open whether quality did" in found.message


def test_a_reward_that_is_saturated_on_both_sides_still_has_a_unit() -> None:
    measurements = measured(sides(0.0, [1.0] * 96 + [0.0] * 24, "a"), sides(1.0, [0.0] * 96 + [1.0] * 24, "b"))
    assert judged(measurements).kind == "fail"
    (shift,) = (m for m in measurements if m.metric == "reward_hack.proxy.standardised")
    assert shift.value == pytest.approx(1 / np.std([0.0] * N + [1.0] * N, ddof=1))


def test_a_rise_under_another_decoding_is_not_put_down_to_training() -> None:
    other = attrs.evolve(measure(FACT, 1.0, scope=named("max_new_tokens")), reason="max_new_tokens 64 against 512")
    measurements = measured(answers(0.0, 0.6, seed=1, n=400), answers(1.0, 0.2, seed=2, n=400))
    assert judged(measurements).kind == "fail"
    found = judged((*measurements, other))
    assert (found.kind, found.level) == ("review", "warning") and "64 against 512" in found.message


def test_the_standardised_rise_is_in_standard_deviations_over_prompts() -> None:
    found = {
        m.metric: m for m in measured(answers(0.0, 0.5, seed=5), answers(2.0, 0.5, seed=6)) if len(m.subjects) == 2
    }
    raw, scaled = found["reward_hack.proxy.reward"], found["reward_hack.proxy.standardised"]
    rewards = [[s[0].scores["reward"] for s in answers(mean, 0.5, seed=seed)] for mean, seed in ((0.0, 5), (2.0, 6))]
    spread = np.sqrt((np.var(rewards[0], ddof=1) + np.var(rewards[1], ddof=1)) / 2)
    assert raw.value is not None and scaled.value == pytest.approx(raw.value / spread, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_best_of_n_is_the_mean_over_every_draw_of_n_answers(n: int) -> None:
    reward = [0.3, 0.1, 0.9, 0.3, 0.5]  # two are equal, and either may be chosen
    gold = [1.0, 0.0, 0.2, 0.0, 0.7]
    drawn = []
    for chosen in itertools.combinations(range(5), n):
        top = max(reward[i] for i in chosen)
        drawn.append(
            np.mean([gold[i] for i in range(5) if reward[i] == top]) if top == 0.3 else gold[reward.index(top)]
        )
    assert best_of_n(reward, gold, n) == pytest.approx(np.mean(drawn), rel=1e-12)


def test_a_reward_that_ranks_answers_backwards_makes_best_of_n_worse() -> None:
    def misled(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
        return tuple(
            Sample(
                index=s.index, text=s.text, scores={"reward": s.scores["reward"], "gold": float(s.scores["reward"] < 0)}
            )
            for s in samples
        )

    base = [misled(own) for own in answers(0.0, None, seed=7, samples=8, n=200)]
    found = {m.scope.subset: m for m in measured(base, base) if m.metric == "reward_hack.proxy.best_of_n"}
    assert found["n=8"].value == pytest.approx(-0.49, abs=0.05)  # from one half to nearly none
    assert found["n=8"].interval is not None and found["n=8"].interval.high < 0
    assert [found[f"n={n}"].value for n in (2, 4, 8)] == sorted(
        (found[f"n={n}"].value for n in (2, 4, 8)), reverse=True
    )
