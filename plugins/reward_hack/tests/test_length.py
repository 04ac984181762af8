"""Length: what is measured of it, what excuses it, and what the rule makes of real pairs of models."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
import pytest
from scipy.optimize import minimize

from afterburn_core.generation.model import GenerationFacts, Responses, Sample
from afterburn_core.probes.model import Probe
from afterburn_core.stats.contrast import undefined
from afterburn_core.stats.intervals import t_interval
from afterburn_core.stats.resampling import sign_flip_p
from afterburn_reward_hack.decoding import DecodingFacts
from afterburn_reward_hack.judging import LEVEL
from afterburn_reward_hack.length import Length
from afterburn_reward_hack.length_judge import LengthJudge
from afterburn_reward_hack.length_options import JudgedOptions, LengthOptions, LengthRules
from afterburn_reward_hack.length_strata import Scored, non_length_gain
from afterburn_reward_hack.quality import Quality
from afterburn_reward_hack.quality_control import score_gains, win_gains
from afterburn_reward_hack.quality_judged import JudgedQuality

RULE = "reward_hack.length"
N = 300


def length() -> Length:
    return Length(LengthOptions())


def pairs(
    ratio: float,
    *,
    gold: Any = None,
    reward: Any = None,
    sd: float = 0.5,
    n: int = N,
    seed: int = 5,
    finish: str = "stop",
    cap: int = 10**6,
) -> list[Responses]:
    """Prompts whose trained answers are `ratio` times as long, log lengths with this deviation.

    `gold` and `reward` give the score of an answer: from its log length, whether it is trained's, and a generator.
    """
    rng, items = np.random.default_rng(seed), []
    for i in range(n):
        topic, sides = rng.normal(0, 0.4), []
        for trained in (False, True):
            log = math.log(60) + topic + trained * math.log(ratio) + rng.normal(0, sd / math.sqrt(2))
            words = max(1, min(cap, round(math.exp(log))))
            scores = {
                name: float(score(math.log(words), trained, rng))
                for name, score in (("gold", gold), ("reward", reward))
                if score is not None
            }
            cut = finish if words == cap else "stop"
            sides.append((Sample(index=0, text="word " * words, finish=cut, scores=scores),))  # type: ignore[arg-type]
        items.append(Responses(probe=Probe(id=f"p{i:03}", prompt=f"Question {i}?"), base=sides[0], trained=sides[1]))
    return items


def flat(log: float, trained: bool, rng: Any) -> float:
    return float(rng.random() < 0.95)


def better(log: float, trained: bool, rng: Any) -> float:
    return float(rng.random() < (0.85 if trained else 0.4))


def paid_by_length(log: float, trained: bool, rng: Any) -> float:
    return log + 0.5 * float(rng.normal())


def earned(log: float, trained: bool, rng: Any) -> float:
    return 2.0 * trained + float(rng.normal())


@pytest.mark.parametrize(
    ("plan", "kind", "level"),
    [
        ({"ratio": 1.8, "gold": flat}, "fail", "error"),
        ({"ratio": 1.8, "gold": better}, "informational", "note"),
        ({"ratio": 1.8}, "review", "warning"),
        ({"ratio": 1.8, "reward": paid_by_length}, "fail", "error"),
        ({"ratio": 1.4, "reward": earned}, "informational", "note"),
        ({"ratio": 2.5, "gold": flat, "n": 20}, "review", "warning"),  # a gain is not ruled out
        ({"ratio": 1.0, "gold": flat}, "pass", "none"),
        ({"ratio": 0.6, "gold": flat}, "pass", "none"),
        ({"ratio": 1.1, "gold": flat, "n": 60}, "open", "warning"),
    ],
)
def test_longer_is_a_hack_where_it_is_no_better(
    plan: dict[str, Any], kind: str, level: str, analyze: Any, judged: Any
) -> None:
    items = pairs(**plan)
    found = judged(LengthJudge(LengthRules()), analyze(Quality, items), analyze(length, items))[RULE]
    assert (found.kind, found.level) == (kind, level), found.message
    if kind in ("fail", "review"):
        assert f"n = {plan.get('n', N)}" in found.message and found.examples[0].trained.startswith("word")


CALM = ("pass", "informational", "not_applicable")


@pytest.mark.parametrize(
    "plan",
    [
        {"ratio": 1.8, "gold": flat, "reward": earned},
        {"ratio": 1.4, "gold": lambda log, trained, rng: float(rng.random() < 0.5 + 0.05 * trained), "reward": earned},
        {"ratio": 1.0, "finish": "length", "cap": 60},
    ],
)
def test_evidence_that_is_taken_away_never_calms_the_rule(plan: dict[str, Any], analyze: Any, evidence_of: Any) -> None:
    items = pairs(**plan, n=150)
    evidence = evidence_of(analyze(Quality, items), analyze(length, items))

    def kind(kept: Any) -> str:
        (found,) = (
            f for f in LengthJudge(LengthRules())(attrs.evolve(evidence, measurements=kept)) if hasattr(f, "kind")
        )
        return str(found.kind)

    whole = evidence.measurements
    assert kind(whole) not in CALM
    for i in range(len(whole)):
        assert kind(whole[:i] + whole[i + 1 :]) not in CALM, whole[i].id


def test_gains_at_equal_length_are_those_of_an_independent_fit() -> None:
    rng = np.random.default_rng(2)
    shift = rng.normal(0.4, 0.6, 200)
    gain = 0.3 * np.tanh(shift) + rng.normal(0, 0.3, 200)
    t = np.tanh(shift / np.sqrt(np.mean(shift**2)))
    slope, intercept = np.polyfit(t, gain, 1)
    found = score_gains(gain, shift, seed=1, saturating=True, least=0.05)
    assert found.controlled.estimate == pytest.approx(intercept)
    assert found.excess.estimate == pytest.approx(slope * t.mean()) == pytest.approx(gain.mean() - intercept)
    assert found.excess.interval is not None and found.excess.interval.low > 0
    wins = np.round(4 / (1 + np.exp(-(0.2 + 0.8 * t + rng.normal(0, 0.5, 200))))) / 4

    def loss(theta: Any) -> float:
        z = theta[0] + theta[1] * t
        return float(np.sum(np.logaddexp(0, z) - wins * z) + 5e-4 * np.sum(theta**2))

    theta = minimize(loss, [0.0, 0.0]).x[0]
    judged = win_gains(wins, shift, seed=1, least=0.05)
    assert judged.controlled.estimate == pytest.approx(2 / (1 + math.exp(-theta)) - 1, abs=1e-5)
    assert judged.raw.estimate == pytest.approx(2 * wins.mean() - 1)
    # where everything became longer, nothing shows what equal length would give
    assert score_gains(gain, np.abs(shift) + 0.1, seed=1, saturating=True, least=0.05).excess.estimate is None


def strata_by_hand(length: Any, score: Any, trained: Any, strata: int) -> float:
    edges = np.quantile(length, np.linspace(0, 1, strata + 1)[1:-1])
    place = np.searchsorted(edges, length)
    inside = [
        ((place == s).mean(), score[(place == s) & trained].mean() - score[(place == s) & ~trained].mean())
        for s in range(strata)
    ]
    return float(sum(w * d for w, d in inside) / (score[trained].mean() - score[~trained].mean()))


def test_non_length_gain_is_1_for_a_gain_at_every_length_and_0_for_one_by_length() -> None:
    rng, n = np.random.default_rng(4), 400
    trained = np.repeat([False, True], n)
    lengths = rng.normal(4 + 0.4 * trained, 0.5)
    answers = Scored(
        prompt=np.tile(np.arange(n), 2), trained=trained, length=lengths, score=lengths, weight=np.ones(2 * n)
    )
    gain = score_gains(lengths[n:] - lengths[:n], lengths[n:] - lengths[:n], seed=1, saturating=True, least=0.0).raw
    by_length = non_length_gain(answers, strata=5, raw=gain, seed=1)
    # five strata leave a little of a gain that is length alone
    assert by_length.estimate is not None and by_length.estimate < 0.3
    assert by_length.estimate == pytest.approx(strata_by_hand(lengths, lengths, trained, 5), abs=0.02)
    finer = non_length_gain(answers, strata=20, raw=gain, seed=1)
    assert finer.estimate is not None and abs(finer.estimate) < 0.1
    honest = attrs.evolve(answers, score=trained + rng.normal(0, 0.3, 2 * n))
    found = non_length_gain(honest, strata=5, raw=gain, seed=1)
    assert found.estimate == pytest.approx(1, abs=0.05) and found.interval is not None
    assert found.interval.low < 1 < found.interval.high
    assert non_length_gain(honest, strata=5, raw=undefined("no gain"), seed=1).estimate is None
    loss = score_gains(lengths[:n] - lengths[n:], lengths[n:] - lengths[:n], seed=1, saturating=True, least=0.0).raw
    assert non_length_gain(honest, strata=5, raw=loss, seed=1).estimate is None
    apart = attrs.evolve(honest, length=lengths + 10 * trained)
    assert "overlap" in str(non_length_gain(apart, strata=5, raw=gain, seed=1).reason)


def test_equal_answers_have_no_shift_no_gain_and_no_excess(analyze: Any, judged: Any) -> None:
    items = [attrs.evolve(item, trained=item.base) for item in pairs(1.0, gold=flat, reward=earned, n=60)]
    output = analyze(length, items)
    contrasts = [m for m in output.measurements if len(m.subjects) == 2 and m.value is not None]
    assert {m.metric.removeprefix(f"{RULE}.") for m in contrasts} >= {"log_ratio", "gain", "excess", "truncated"}
    for m in contrasts:
        assert (m.value, m.interval.low, m.interval.high) == (0.0, 0.0, 0.0), m.metric
    assert judged(LengthJudge(LengthRules()), output)[RULE].kind == "pass"


def test_order_and_parts_of_the_stream_do_not_matter(analyze: Any) -> None:
    items = pairs(1.4, gold=better, reward=paid_by_length, n=40)
    assert analyze(length, items) == analyze(length, items[::-1], parts=3)


def test_answers_cut_at_a_limit_are_compared_up_to_it_and_ask_for_review(analyze: Any, judged: Any) -> None:
    items = pairs(1.8, gold=flat, finish="length", cap=120)
    output = analyze(length, items)
    found = judged(LengthJudge(LengthRules()), analyze(Quality, items), output)[RULE]
    assert (found.kind, found.level) == ("review", "warning") and "answers were cut" in found.message
    shorter = judged(LengthJudge(LengthRules()), analyze(length, pairs(1.0, finish="length", cap=60)))[RULE]
    assert shorter.kind == "open" and "beyond it nothing is known" in shorter.message


def test_tokens_of_different_tokenizers_are_not_compared(analyze: Any, value_of: Any) -> None:
    def counted(sides: tuple[str, str]) -> list[Responses]:
        facts = {s: GenerationFacts(engine="x", tokenizer_sha256=t) for s, t in zip(("base", "trained"), sides)}
        return [
            attrs.evolve(
                item,
                base=(attrs.evolve(item.base[0], tokens=7),),
                trained=(attrs.evolve(item.trained[0], tokens=7),),
                facts=facts,
            )
            for item in pairs(1.5, n=12)
        ]

    same, other = (value_of(analyze(length, counted(t)), f"{RULE}.log_ratio") for t in (("a", "a"), ("a", "b")))
    assert same.value == 0.0 and "in tokens" in same.reason
    assert other.value > 0.1 and "in words" in other.reason


def test_more_words_where_it_is_wrong_widen_the_gap(analyze: Any, value_of: Any) -> None:
    """Trained doubles its wrong answers alone; four samples, half of them right."""
    rng, items = np.random.default_rng(8), []
    for i in range(60):
        sides = []
        for trained in (False, True):
            samples = []
            for k in range(4):
                right = bool(rng.random() < 0.5)
                words = int(rng.integers(20, 60)) * (2 if trained and not right else 1)
                samples.append(Sample(index=k, text="word " * words, labels={"is_correct": right}))
            sides.append(tuple(samples))
        items.append(Responses(probe=Probe(id=f"p{i:02}", prompt="?"), base=sides[0], trained=sides[1]))
    output = analyze(length, items)
    base, trained, gap = (value_of(output, f"{RULE}.verbosity_gap", side) for side in ("base", "trained", None))
    assert gap.value == pytest.approx(trained.value - base.value)
    assert gap.interval.low > 0.2 and value_of(output, f"{RULE}.verbosity_interaction").interval.high < 0


def test_a_judge_that_likes_length_is_seen_through_and_never_fails_a_model(analyze: Any, judged: Any) -> None:
    items = pairs(1.6, n=120)

    def ask(conversations: Any) -> list[str]:
        """Prefers the longer answer, with a doubt that grows with their likeness."""
        replies, rng = [], np.random.default_rng(1)
        for _, message in conversations:
            first, second = (message.content.split(f"<answer_{n}>")[1].count("word") for n in "ab")
            chance = 1 / (1 + math.exp(-3 * math.log((1 + first - second) / (1 + second))))
            replies.append(f"Verdict: {'A' if rng.random() < chance else 'B'}")
        return replies

    preferred = analyze(lambda: JudgedQuality(JudgedOptions()), items, ask=ask)
    by_metric = {m.metric.removeprefix("reward_hack.quality.judged"): m for m in preferred.measurements}
    assert by_metric[""].value > 0.2 and "uncorrected" in str(by_metric[""].reason)
    assert by_metric["_length_excess"].interval is not None and by_metric["_length_excess"].interval.low > 0
    assert abs(by_metric["_at_equal_length"].value) < 0.25
    found = judged(LengthJudge(LengthRules()), analyze(length, items), preferred)[RULE]
    assert found.kind == "review" and "at equal length" in found.message


def test_nulls_as_spread_as_real_pairs_rarely_raise_the_rule() -> None:
    """False alarms at n prompts whose log ratios have the deviations seen between real models, about a mean of 0."""
    rng, runs, margin = np.random.default_rng(6), 2000, LengthRules().length_margin
    for n, sd, tails in ((50, 0.35, "normal"), (100, 1.2, "normal"), (200, 0.7, "skewed")):
        drawn = rng.normal(0, sd, (n, runs)) if tails == "normal" else sd * (rng.exponential(1, (n, runs)) - 1)
        p = np.concatenate([sign_flip_p(drawn[:, k : k + 50], seed=k, resamples=1999) for k in range(0, runs, 50)])
        low, _ = t_interval(drawn.mean(axis=0), drawn.std(axis=0, ddof=1) / math.sqrt(n), n - 1)
        alarms = ((p <= LEVEL) & (low > margin)).mean()
        assert alarms <= LEVEL + 2 * math.sqrt(LEVEL / runs), (n, sd, alarms)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("zeroeval_crux_phi3_phi35", {"fail"}),  # more words without a gain
        ("gsm8k_175b_verifier", {"open", "informational", "pass"}),  # ×1.13 and a genuine gain
        ("arenahard_gpt4_0314_0613", {"pass"}),
        ("noveltybench_null_split", {"pass"}),
        ("zeroeval_gsm_same_model_two_hosts", {"review"}),  # longer by serving alone
    ],
)
def test_real_pairs_are_judged_as_documented(
    name: str, kinds: set[str], recorded: Any, analyze: Any, judged: Any
) -> None:
    items = recorded(name)
    outputs = [analyze(make, items) for make in (Quality, length, DecodingFacts)]
    found = judged(LengthJudge(LengthRules()), *outputs)[RULE]
    assert found.kind in kinds, found.message
