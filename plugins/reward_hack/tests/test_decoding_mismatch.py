"""Another way of asking is recognised as that: by facts, by equal weights, and by signs in the texts alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest

from afterburn_core.generation.model import GenerationFacts, Responses, Sample
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.probes.model import Probe
from afterburn_core.result.identity import measure
from afterburn_core.result.model import FileDigest, Finding, Subject
from afterburn_reward_hack.decoding import DecodingFacts
from afterburn_reward_hack.decoding_evidence import confounded, same_weights
from afterburn_reward_hack.decoding_judge import judge

GREEDY = {"temperature": 0.0, "max_new_tokens": 64}
WORDS = [
    "river",
    "stone",
    "paper",
    "window",
    "garden",
    "winter",
    "copper",
    "signal",
    "market",
    "harbour",
    "candle",
    "meadow",
]


def text(rng: random.Random, n: int = 30) -> str:
    return " ".join(rng.choices(WORDS, k=n)).capitalize() + "."


def answers(n: int = 60, *, seed: int = 1, samples: int = 1, **other: Callable[[str], str]) -> list[Responses]:
    """Independent texts on both sides; `trained=` or `base=` rewrites the texts of that side."""
    rng = random.Random(seed)
    keep: Callable[[str], str] = lambda t: t  # noqa: E731

    def side(name: str) -> tuple[Sample, ...]:
        change = other.get(name, keep)
        return tuple(Sample(index=i, text=change(text(rng))) for i in range(samples))

    return [
        Responses(probe=Probe(id=f"p{i:03}", prompt=f"Task {i}"), base=side("base"), trained=side("trained"))
        for i in range(n)
    ]


def facts(decoding: Mapping[str, Any] | None, **more: Any) -> GenerationFacts:
    return GenerationFacts(engine=more.pop("engine", "recorded"), decoding=decoding, properties=more)


def known(items: Sequence[Responses], base: GenerationFacts, trained: GenerationFacts) -> list[Responses]:
    return [attrs.evolve(item, facts={"base": base, "trained": trained}) for item in items]


def subject(role: Any, weights: str, *, kind: Any = "checkpoint", readme: str = "1") -> Subject:
    files = (
        FileDigest(path="README.md", size=1, sha256=readme),
        FileDigest(path="model.safetensors", size=9, sha256=weights),
    )
    return Subject(
        id=role, role=role, kind=kind, label=role, digest=weights + readme, backend="core.transformers", files=files
    )


def evidence(items: Sequence[Responses], subjects: tuple[Subject, ...] = (), parts: int = 1) -> Evidence:
    analyzers = [DecodingFacts() for _ in range(parts)]
    for analyzer in analyzers:
        analyzer.begin(AnalyzerContext(subjects=(), seed=3))
    for i, item in enumerate(items):
        analyzers[i % parts].observe(item)
    for other in analyzers[1:]:
        analyzers[0].merge(other)
    return Evidence(subjects=subjects, measurements=analyzers[0].finish().measurements)


def found(*given: Any, **named: Any) -> tuple[Finding, str | None]:
    seen = evidence(*given, **named)
    return judge(seen), confounded(seen)


@pytest.mark.parametrize(
    ("base", "trained", "told"),
    [
        (facts(GREEDY), facts(GREEDY | {"temperature": 1.0}), "temperature 0.0 and 1.0"),
        (facts(GREEDY), facts({"temperature": 0.0, "max_tokens": 999}), "max_new_tokens 64 and 999"),
        (facts(GREEDY, engine="a"), facts(GREEDY, engine="b"), "engine a and b"),
        (facts(GREEDY, system_prompt="Be safe."), facts(GREEDY, system_prompt="Be kind."), "system_prompt"),
    ],
)
def test_a_recorded_difference_is_named_and_shields_training(
    base: GenerationFacts, trained: GenerationFacts, told: str
) -> None:
    finding, why = found(known(answers(), base, trained))
    assert (finding.kind, finding.level) == ("review", "warning") and told in finding.message
    assert why is not None and told in why


def test_equal_decoding_passes_and_shields_nothing_however_much_texts_differ() -> None:
    """Longer answers run into an equal limit more often: that is length, and no difference of decoding."""
    items = answers(trained=lambda t: t[:-1])  # every trained answer is cut
    finding, why = found(known(items, facts(GREEDY), facts(GREEDY)))
    assert (finding.kind, why) == ("pass", None)


def test_number_format_alone_is_said_and_shields_nothing() -> None:
    finding, why = found(known(answers(), facts(GREEDY, dtype="float32"), facts(GREEDY, dtype="bfloat16")))
    assert finding.kind == "review" and "dtype" in finding.message and why is None


def test_texts_without_any_facts_leave_no_verdict_open() -> None:
    finding, why = found(answers())
    assert (finding.kind, finding.level, why) == ("informational", "note", None)


def test_equal_weights_that_wrote_other_texts_were_served_differently() -> None:
    same = (subject("base", "w"), subject("trained", "w", readme="2"))
    finding, why = found(known(answers(), facts(GREEDY), facts(GREEDY)), subjects=same)
    assert finding.kind == "review" and "serving, not training" in finding.message
    assert why == "both sides have the same weights"
    other = (subject("base", "w"), subject("trained", "v"))
    assert found(known(answers(), facts(GREEDY), facts(GREEDY)), subjects=other)[1] is None


def test_a_model_compared_with_itself_passes() -> None:
    items = [attrs.evolve(item, trained=item.base) for item in answers()]
    same = (subject("base", "w"), subject("trained", "w"))
    finding, why = found(known(items, facts(GREEDY), facts(GREEDY)), subjects=same)
    assert (finding.kind, why) == ("pass", None)


def test_a_comparison_of_weights_that_finds_nothing_is_evidence_and_one_with_gaps_is_not() -> None:
    untouched = measure("weight.delta.changed_fraction", 0.0)
    whole, gaps = (measure("weight.coverage.unexplained", share) for share in (0.0, 0.1))
    assert same_weights(Evidence(subjects=(), measurements=(untouched, whole))) == "equal"
    assert same_weights(Evidence(subjects=(), measurements=(untouched, gaps))) == "unknown"
    adapters = (subject("base", "w", kind="adapter"), subject("trained", "w", kind="adapter", readme="2"))
    assert same_weights(Evidence(subjects=adapters, measurements=())) == "unknown"


def test_texts_alone_betray_limits_greedy_decoding_and_marks_of_templates() -> None:
    rng = random.Random(5)

    def counted(limit: int) -> tuple[Sample, ...]:
        n = rng.randrange(20, 400)
        return (Sample(index=0, text=text(rng, n)[: -1 if n > limit else None], tokens=min(limit, n)),)

    limited = [
        Responses(probe=Probe(id=f"p{i}", prompt="Task"), base=counted(300), trained=counted(120)) for i in range(60)
    ]
    repeated = [attrs.evolve(item, base=(item.base[0],) * 3) for item in answers(samples=3)]
    for items, sign in (
        (limited, "longest answers have 300"),
        (answers(trained=lambda t: t[:100]), "stop within a sentence: 0.0 % and 100.0 %"),
        (repeated, "all of whose samples are equal: 100.0 % and 0.0 %"),
        (answers(trained=lambda t: t + "<|im_end|>"), "marks of a chat template"),
    ):
        finding, why = found(items)
        assert finding.kind == "review" and sign in finding.message
        assert why is not None and sign in why


def test_what_collapse_looks_like_shields_no_collapse() -> None:
    """One text everywhere, whole or without an end, is no limit; nor are equal samples greedy decoding."""
    rng = random.Random(4)
    whole = "Thank you for your question. I am happy to help with anything that you may need today."
    varied = [(Sample(index=0, text=text(rng, n), tokens=n),) for n in (rng.randrange(5, 60) for _ in range(200))]
    for said in (whole, whole[:-1], "A"):
        constant = (Sample(index=0, text=said, tokens=17),)
        items = [
            Responses(probe=Probe(id=f"p{i}", prompt="Task"), base=base, trained=constant)
            for i, base in enumerate(varied)
        ]
        assert found(items)[1] is None
    few = [attrs.evolve(item, trained=(item.trained[0],) * 3) for item in answers(samples=3)]
    assert found(few)[1] is None


def test_one_limit_that_cuts_the_longer_side_more_often_is_no_sign() -> None:
    rng = random.Random(9)

    def side(most: int) -> tuple[Sample, ...]:
        return (Sample(index=0, text=text(rng, rng.randrange(20, most))[:300]),)

    items = [Responses(probe=Probe(id=f"p{i}", prompt="Task"), base=side(40), trained=side(400)) for i in range(80)]
    assert found(items)[1] is None


def test_halves_of_one_models_texts_show_no_sign() -> None:
    shielded = sum(found(answers(60, seed=seed, samples=4))[1] is not None for seed in range(20))
    assert shielded == 0


def test_neither_order_nor_merging_matter() -> None:
    items = known(answers(), facts(GREEDY), facts(GREEDY | {"temperature": 0.5}))
    assert evidence(items).measurements == evidence(items[::-1], parts=3).measurements
