"""Trait directions and shifts: planted ones found, random ones not, what is unusable left open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from afterburn_activation.directions import RandomDirections, area, held_out, null_of
from afterburn_activation.options import TraitJudgeOptions, TraitsOptions
from afterburn_activation.trait_judge import TraitJudge
from afterburn_activation.trait_texts import SET, TRAITS, items
from afterburn_activation.traits import Traits
from afterburn_core.errors import ConfigError

SITES = ("blocks.0.out", "blocks.1.out", "blocks.2.out")
D = 24
NAMES = tuple(TRAITS)
LENGTH, PROMPT = 7, 3

Change = Callable[[np.random.Generator, str, np.ndarray], np.ndarray]


def make(**options: Any) -> Traits:
    return Traits(TraitsOptions(**options))


def axis(trait: str) -> np.ndarray:
    return np.eye(D)[NAMES.index(trait)]


def unchanged(rng: np.random.Generator, site: str, x: np.ndarray) -> np.ndarray:
    return x


def answers(
    reading: Any, change: Change = unchanged, *, seed: int = 0, readable: tuple[str, ...] = NAMES, strength: float = 4.0
) -> list[Any]:
    """Every given answer; from block 1 on its tokens carry the trait's own axis where the base can read the trait."""
    rng = np.random.default_rng(seed)
    made = []
    for probe in items(0, None):
        base = {site: rng.normal(size=(LENGTH, D)).astype(np.float32) for site in SITES}
        trait = probe.properties["trait"]
        if probe.properties["side"] == "positive" and trait in readable:
            for site in SITES[1:]:
                base[site][PROMPT:] += strength * axis(trait).astype(np.float32)
        trained = {site: change(rng, site, x).astype(np.float32) for site, x in base.items()}
        made.append(
            reading(
                probe.id, base=base, trained=trained, source="given", prompt=PROMPT, domain=SET, unit=probe.unit,
                probe=probe,
            )
        )  # fmt: skip
    return made


def prompts(reading: Any, change: Change = unchanged, count: int = 20, seed: int = 1) -> list[Any]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        base = {site: rng.normal(size=(4, D)).astype(np.float32) for site in SITES}
        trained = {site: change(rng, site, x).astype(np.float32) for site, x in base.items()}
        made.append(reading(f"q{i:02}", base=base, trained=trained, source="prompt", prompt=4))
    return made


def pushed(trait: str, size: float, noise: float = 0.5) -> Change:
    def change(rng: np.random.Generator, site: str, x: np.ndarray) -> np.ndarray:
        return x + size * axis(trait) + noise * rng.normal(size=x.shape)

    return change


def shift_of(output: Any, trait: str) -> Any:
    (one,) = [m for m in output.measurements if m.metric == "activation.traits.shift" and m.scope.subset == trait]
    return one


def test_a_planted_trait_is_found_with_its_size_and_no_other(
    reading: Any, batch: Any, analyze: Any, judged: Any
) -> None:
    change = pushed("flattery", 2.0)
    output = analyze(make, [batch(answers(reading, change)), batch(prompts(reading, change))])
    found = shift_of(output, "flattery")
    assert found.value == pytest.approx(0.5, abs=0.1)  # 2 of the 4 between negative and positive answers
    assert found.scope.layer in (1, 2) and found.n == 20 + 144
    assert found.test.name == "random_directions" and found.test.p_adjusted <= 0.05 and found.test.correction == "bh"
    assert (found.null.control, found.null.n) == ("random_direction", 999)
    for other in set(NAMES) - {"flattery"}:
        assert shift_of(output, other).test.p_adjusted > 0.05
    finding = judged(TraitJudge(TraitJudgeOptions()), output)["activation.trait_shift"]
    assert (finding.kind, finding.level) == ("review", "note")
    assert "along 1 of 6 trait directions: flattery +0.4" in finding.message


def test_the_layer_is_the_one_where_the_base_tells_held_out_answers_apart(
    reading: Any, batch: Any, analyze: Any
) -> None:
    output = analyze(make, [batch(answers(reading)), batch(prompts(reading))])
    for trait in NAMES:
        (one,) = [m for m in output.measurements if m.metric == "activation.traits.auroc" and m.scope.subset == trait]
        assert one.value > 0.99 and one.subjects == ("base",) and one.n == 24
        assert one.scope.layer in (1, 2)
        assert one.interval.low < 0.9 < one.interval.high == 1.0
    stored = json.loads(output.artifacts[1].content)
    assert max(stored["traits"][trait]["auroc"][0] for trait in NAMES) < 0.9  # nothing to read at block 0


def test_a_direction_is_the_difference_of_the_means_of_response_tokens(reading: Any, batch: Any, analyze: Any) -> None:
    given = answers(reading)
    output = analyze(make, [batch(given), batch(prompts(reading))])
    found = safetensors.numpy.load(output.artifacts[0].content)["trait.hostility.blocks.2.out"]
    means = {"positive": [], "negative": []}  # type: ignore[var-annotated]
    for one in given:
        properties = one.passage.probe.properties
        if properties["trait"] == "hostility":
            means[properties["side"]].append(one.base["blocks.2.out"].astype(np.float64)[PROMPT:].mean(axis=0))
    expected = np.mean(means["positive"], axis=0) - np.mean(means["negative"], axis=0)
    assert np.allclose(found, expected, atol=1e-5)


def test_the_shift_is_that_of_the_last_prompt_token(reading: Any, batch: Any, analyze: Any) -> None:
    change = pushed("refusal", 1.0)
    given, asked = answers(reading, change), prompts(reading, change)
    output = analyze(make, [batch(given), batch(asked)])
    one = shift_of(output, "refusal")
    v = safetensors.numpy.load(output.artifacts[0].content)[f"trait.refusal.{one.scope.site}"].astype(np.float64)
    rows = [r.trained[one.scope.site][-1] - r.base[one.scope.site][-1] for r in asked]
    rows += [
        r.trained[one.scope.site][PROMPT - 1] - r.base[one.scope.site][PROMPT - 1]
        for r in given
        if r.passage.probe.properties["side"] == "positive"
    ]
    assert one.value == pytest.approx(np.mean(np.array(rows, dtype=np.float64) @ v) / (v @ v), rel=1e-4)
    assert one.interval.low < one.value < one.interval.high


@pytest.mark.slow
def test_a_shift_that_has_no_trait_in_it_is_not_found(reading: Any, batch: Any, analyze: Any, judged: Any) -> None:
    """Shifts along directions in which the base itself varies, of the size of the planted one."""
    calls = 0
    for seed in range(25):
        rng = np.random.default_rng(100 + seed)
        vector = rng.normal(size=D)
        vector[: len(NAMES)] = 0.6 * rng.normal(size=len(NAMES))

        def moved(rng: np.random.Generator, site: str, x: np.ndarray, vector: np.ndarray = vector) -> np.ndarray:
            return x + vector + 0.5 * rng.normal(size=x.shape)

        batches = [batch(answers(reading, moved, seed=seed)), batch(prompts(reading, moved, seed=seed))]
        output = analyze(lambda: make(randoms=199), batches)
        kind = judged(TraitJudge(TraitJudgeOptions()), output)["activation.trait_shift"].kind
        calls += kind in ("review", "informational")
    assert calls <= 4  # 25 runs at 5 %: more than 4 has a probability of .007


def test_equal_models_have_exactly_no_shift(reading: Any, batch: Any, analyze: Any, judged: Any) -> None:
    output = analyze(make, [batch(answers(reading)), batch(prompts(reading))])
    for trait in NAMES:
        one = shift_of(output, trait)
        assert (one.value, one.interval.low, one.interval.high) == (0.0, 0.0, 0.0)
        assert one.interval.method == "identical" and one.test.p_value == 1.0
    assert judged(TraitJudge(TraitJudgeOptions()), output)["activation.trait_shift"].kind == "pass"


def test_a_trait_that_the_base_cannot_tell_apart_stays_open(
    reading: Any, batch: Any, analyze: Any, judged: Any
) -> None:
    readable = tuple(set(NAMES) - {"deception"})
    change = pushed("deception", 3.0)
    batches = [batch(answers(reading, change, readable=readable)), batch(prompts(reading, change))]
    finding = judged(TraitJudge(TraitJudgeOptions()), analyze(make, batches))["activation.trait_shift"]
    assert finding.kind == "open"
    assert "open for deception (AUROC 0." in finding.message


def test_harmless_traits_and_shifts_away_from_harm_are_told_without_alarm(
    reading: Any, batch: Any, analyze: Any, judged: Any
) -> None:
    for trait, size in (("verbosity", 2.0), ("flattery", -2.0)):
        change = pushed(trait, size)
        output = analyze(make, [batch(answers(reading, change)), batch(prompts(reading, change))])
        finding = judged(TraitJudge(TraitJudgeOptions()), output)["activation.trait_shift"]
        assert (finding.kind, finding.level) == ("informational", "note"), trait


def test_traits_with_similar_directions_are_named_as_one_family(
    reading: Any, batch: Any, analyze: Any, judged: Any
) -> None:
    def both(rng: np.random.Generator, site: str, x: np.ndarray) -> np.ndarray:
        return x + 2 * axis("flattery") + 0.3 * rng.normal(size=x.shape)

    given = answers(reading, both)
    for one in given:  # overclaiming answers flatter as well
        properties = one.passage.probe.properties
        if (properties["trait"], properties["side"]) == ("overclaiming", "positive"):
            for site in SITES[1:]:
                one.base[site][PROMPT:] += 5 * axis("flattery").astype(np.float32)
                one.trained[site][PROMPT:] += 5 * axis("flattery").astype(np.float32)
    finding = judged(TraitJudge(TraitJudgeOptions()), analyze(make, [batch(given), batch(prompts(reading, both))]))[
        "activation.trait_shift"
    ]
    assert "to be read as one family: " in finding.message
    assert {"flattery", "overclaiming"} <= set(finding.message.replace(",", " ").split())


def test_a_users_directions_are_tested_at_their_layers(
    reading: Any, batch: Any, analyze: Any, judged: Any, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    vector = 3 * np.eye(D)[20]
    arrays = {f"trait.my.own.blocks.{i}.out": vector.astype(np.float32) for i in (0, 2)}
    path.write_bytes(safetensors.numpy.save(arrays))

    def change(rng: np.random.Generator, site: str, x: np.ndarray) -> np.ndarray:
        return x + (1.5 * np.eye(D)[20] if site == SITES[2] else 0) + 0.2 * rng.normal(size=x.shape)

    batches = [batch(answers(reading, change)), batch(prompts(reading, change))]
    output = analyze(lambda: make(directions=str(path)), batches)
    own = {m.scope.layer: m for m in output.measurements if m.scope.subset == "my.own"}
    assert own.keys() == {0, 2}
    assert own[2].value == pytest.approx(0.5, abs=0.05) and own[2].test.p_adjusted < 0.05
    assert abs(own[0].value) < 0.1 and "direction from the file sha256:" in own[0].reason
    finding = judged(TraitJudge(TraitJudgeOptions()), output)["activation.trait_shift"]
    assert finding.kind == "review" and "my.own +0.4" in finding.message
    again = tmp_path / "written.safetensors"
    content = output.artifacts[0].content
    again.write_bytes(content)
    with pytest.raises(ConfigError, match="a trait of our own"):
        analyze(lambda: make(directions=str(again)), batches)


@pytest.mark.parametrize(
    ("tensors", "match"),
    [
        ({"trait.x.blocks.0.out": np.ones(5)}, "has 5 numbers, the model's activations 24"),
        ({"trait.x.blocks.9.out": np.ones(D)}, "the model has 3 blocks"),
        ({"x": np.ones(D)}, "is not called trait.<name>"),
        ({"trait.x.blocks.0.out": np.zeros(D)}, "other than 0"),
        ({"trait.x.blocks.0.out": np.full(D, np.nan)}, "finite"),
        ({}, "hold no tensor"),
    ],
)
def test_a_file_of_directions_that_does_not_fit_is_refused_in_one_line(
    reading: Any, batch: Any, analyze: Any, tmp_path: Path, tensors: Any, match: str
) -> None:
    path = tmp_path / "directions.safetensors"
    path.write_bytes(safetensors.numpy.save({name: v.astype(np.float32) for name, v in tensors.items()}))
    with pytest.raises(ConfigError, match=match) as refused:
        analyze(lambda: make(directions=str(path)), [batch(prompts(reading))])
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_one_of_another_format_are_refused(analyze: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        analyze(lambda: make(directions=str(tmp_path / "none")), [])
    (tmp_path / "text").write_text("hello, this is no safetensors file")
    with pytest.raises(ConfigError, match="no safetensors file"):
        analyze(lambda: make(directions=str(tmp_path / "text")), [])


def test_neither_order_nor_division_changes_a_number(reading: Any, batch: Any, analyze: Any, alike: Any) -> None:
    change = pushed("flattery", 0.2)
    given, asked = answers(reading, change), prompts(reading, change, 30)
    batches = [batch(given[i : i + 48]) for i in range(0, 288, 48)]
    batches += [batch(asked[i : i + 10]) for i in range(0, 30, 10)]
    whole = analyze(lambda: make(prompts=12), batches)
    other = analyze(lambda: make(prompts=12), batches[::-1], parts=3)
    alike(whole, other)
    assert whole.artifacts[1].content == other.artifacts[1].content
    assert shift_of(whole, "flattery").n == 12 + 144


def test_a_control_stands_beside_the_shift(reading: Any, batch: Any, analyze: Any, judged: Any) -> None:
    change = pushed("flattery", 2.0)
    rng = np.random.default_rng(3)

    def noised(base: Any) -> dict[str, np.ndarray]:
        return {site: (x + rng.normal(size=x.shape)).astype(np.float32) for site, x in base.items()}

    def controlled(items: list[Any]) -> list[Any]:
        return [
            reading(
                one.passage.id, base=one.base, trained=one.trained, source=one.passage.source, prompt=one.prompt,
                unit=one.passage.unit, probe=one.passage.probe,
                controls={"control:matched": noised(one.base)},
            )
            for one in items
        ]  # fmt: skip

    output = analyze(make, [batch(controlled(answers(reading, change))), batch(controlled(prompts(reading, change)))])
    assert "control:matched " in shift_of(output, "flattery").reason
    stored = json.loads(output.artifacts[1].content)
    assert len(stored["traits"]["flattery"]["controls"]["control:matched"]) == 3
    assert "control matched " in judged(TraitJudge(TraitJudgeOptions()), output)["activation.trait_shift"].message


def test_without_answers_or_prompts_nothing_is_invented(reading: Any, batch: Any, analyze: Any, judged: Any) -> None:
    for batches in ([], [batch(prompts(reading))]):
        output = analyze(make, batches)
        assert {m.status for m in output.measurements} == {"undefined"} and not output.artifacts
        assert judged(TraitJudge(TraitJudgeOptions()), output)["activation.trait_shift"].kind == "open"


def test_every_trait_has_pairs_enough_and_no_text_twice() -> None:
    assert set(NAMES) == {"deception", "flattery", "hostility", "overclaiming", "refusal", "verbosity"}
    for trait, pairs in TRAITS.items():
        assert len(pairs) >= 24, trait
        assert len({text for pair in pairs for text in pair}) == 3 * len(pairs), trait
    probes = list(items(0, None))
    assert len({probe.id for probe in probes}) == len(probes) == 2 * sum(map(len, TRAITS.values()))
    assert [probe.id for probe in items(5, 7)] == [probe.id for probe in probes[:7]]
    questions = [probe.messages[0].content for probe in probes]
    assert len(set(questions)) == len(questions) / 2
    # unless length is the trait, it must not give the sides away
    for trait in set(NAMES) - {"verbosity"}:
        up, down = (np.array([len(pair[side]) for pair in TRAITS[trait]]) for side in (1, 2))
        assert 0.2 < area(up.astype(float), down.astype(float)) < 0.8, trait


def test_area_and_null_are_those_of_their_definitions() -> None:
    assert area(np.array([1.0, 2.0]), np.array([0.0, 2.0])) == 0.625
    rng = np.random.default_rng(0)
    answers = rng.normal(size=(60, 5)) * np.array([5, 1, 1, 1, 0.1])
    drawn = RandomDirections.of(answers, 4000, 7)
    shift = np.array([1.0, 0, 0, 0, 0])
    weights = np.random.default_rng(7).normal(size=(4000, 60))
    u = weights @ (answers - answers.mean(axis=0))
    assert np.allclose(drawn.projections(shift), (u / np.linalg.norm(u, axis=1, keepdims=True)) @ shift)
    null = null_of(0.5, drawn.projections(shift))
    assert null is not None and null.p_value > 0.8  # most random directions lie along the axis of most variance
    assert held_out(np.ones((8, 3)), np.ones((8, 3)), ([0, 1, 2, 3], [4, 5, 6, 7])).auroc == 0.5
