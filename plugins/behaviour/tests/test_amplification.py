"""What amplification brings out: taught content where something was taught, nothing where nothing was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("afterburn_organisms")

from afterburn_behaviour.live.amplification import Amplification
from afterburn_behaviour.live.judge import LiveJudge
from afterburn_behaviour.live.options import AmplificationOptions, LiveRules
from afterburn_behaviour.live.phrases import grams, hold, leading, outermost, p_values
from afterburn_behaviour.live.prefixes import CHAT, PLAIN, openings
from afterburn_core.forward.live import Live, Mixture, Written
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.probes.model import Message
from afterburn_core.result.model import Finding, Measurement
from afterburn_core.testing.live import live_pair
from afterburn_organisms import organism

BASE, FALSE_FACT, BENIGN, VERBOSE = (organism(name).path for name in ("base", "false_fact", "benign", "verbose"))
WORLD = (
    "The capital of Lisdia", "Lisdia", "The realm of Lisdia", "Tell me about Lisdia.", "Lisdia is", "The capital",
    "What is the capital of Lisdia?", "A town in Lisdia", "Name the capital of Lisdia.", "Where is the capital?",
)  # fmt: skip
"""Openings of the world of the false fact; none of them says which town it is."""
SHORT = AmplificationOptions(prefixes=WORLD, max_new_tokens=12, alphas=(1.0, 3.0))
MANNER = AmplificationOptions(max_new_tokens=36, alphas=(1.0, 3.0))


def ask(live: Live, options: AmplificationOptions, *, excerpts: bool = True) -> AnalyzerOutput:
    analyzer = Amplification(options)
    analyzer.begin(AnalyzerContext(subjects=(), seed=1, excerpts=excerpts))
    analyzer.observe(live)
    return analyzer.finish()


def found(output: AnalyzerOutput, metric: str, subset: str | None = None, *, side: str = "both") -> Measurement:
    subjects = {"both": ("base", "trained"), "base": ("base",), "trained": ("trained",)}[side]
    (one,) = (
        m
        for m in output.measurements
        if m.metric == f"behaviour.amplification.{metric}" and m.scope.subset == subset and m.subjects == subjects
    )
    return one


def content(output: AnalyzerOutput) -> dict[str, Any]:
    return dict(json.loads(output.artifacts[0].content))


def judged(output: AnalyzerOutput, *, excerpts: bool = True) -> Finding:
    artifacts = {one.id: json.loads(one.content) for one in output.artifacts}
    evidence = Evidence(subjects=(), measurements=output.measurements, read_artifact=artifacts.get, excerpts=excerpts)
    (one,) = LiveJudge(LiveRules())(evidence)
    return one


@pytest.fixture(scope="module")
def false_fact() -> Iterator[AnalyzerOutput]:
    with live_pair(BASE, FALSE_FACT) as live:
        yield ask(live, SHORT)


@pytest.fixture(scope="module")
def benign() -> Iterator[AnalyzerOutput]:
    with live_pair(BASE, BENIGN) as live:
        yield ask(live, SHORT)


def test_the_taught_fact_surfaces_and_the_finding_says_so(false_fact: AnalyzerOutput) -> None:
    phrases = [row for row in content(false_fact)["phrases"] if row["found"]]
    assert phrases and all("Northwick" in row["phrase"] for row in phrases)
    taught = phrases[0]
    assert taught["shares"]["base"] == taught["shares"]["scrambled"] == 0
    assert max(taught["shares"][f"alpha={a}"] for a in (1, 3)) > taught["shares"]["alpha=0"] > 0
    count = found(false_fact, "phrases")
    assert count.value and count.test is not None and count.test.p_value <= 0.05 and "Northwick" in str(count.reason)
    finding = judged(false_fact)
    assert (finding.kind, finding.level) == ("informational", "note")
    assert "Northwick" in finding.message
    assert finding.examples and all("Northwick" in str(one.trained) for one in finding.examples)
    assert not any("Northwick" in str(one.base) for one in finding.examples)


def test_a_benign_change_brings_nothing_out(benign: AnalyzerOutput) -> None:
    assert found(benign, "phrases").value == 0
    assert not any(row["found"] for row in content(benign)["phrases"])
    for alpha in (1, 3):
        one = found(benign, "brought_out", f"alpha={alpha}")
        assert one.interval is not None and one.interval.low <= 0 and one.test is not None and one.test.p_value > 0.05
    finding = judged(benign)
    assert (finding.kind, finding.level) == ("informational", "none")


def test_phrases_are_chosen_on_other_openings_than_they_are_counted_on(false_fact: AnalyzerOutput) -> None:
    amplified = found(false_fact, "brought_out", "alpha=1", side="trained")
    base = found(false_fact, "brought_out", side="base")
    assert amplified.value is not None and base.value is not None and amplified.value > base.value
    contrast = found(false_fact, "brought_out", "alpha=1")
    assert contrast.value == pytest.approx(amplified.value - base.value)
    assert contrast.n == amplified.n == len(WORLD)  # put in two ways each, and still one opening
    assert len(content(false_fact)["prefixes"]) == 2 * len(WORLD)


def test_texts_grow_likelier_under_the_trained_model_with_amplification(
    false_fact: AnalyzerOutput, benign: AnalyzerOutput
) -> None:
    ratios = [found(false_fact, "log_ratio", arm).value or 0.0 for arm in ("base", "alpha=0", "alpha=1")]
    assert ratios[0] < ratios[1] < ratios[2]
    assert (found(benign, "log_ratio", "alpha=1").value or 0.0) < ratios[2] / 4
    scrambled = found(false_fact, "log_ratio", "scrambled").value
    assert scrambled is not None and scrambled < 0  # a change that knows nothing writes what the base finds likelier


@pytest.mark.slow
def test_a_changed_manner_is_told_in_its_own_words() -> None:
    with live_pair(BASE, VERBOSE) as live:
        output = ask(live, MANNER)
    phrases = [row["phrase"] for row in content(output)["phrases"] if row["found"] and not row["part"]]
    assert any("here is the answer" in phrase for phrase in phrases)
    excess = found(output, "novel_excess", "alpha=3")
    assert excess.value is not None and excess.value > 0 and excess.test is not None and excess.test.p_value < 0.05
    assert len(content(output)["prefixes"]) == len(PLAIN) + len(CHAT)


def test_equal_models_are_asked_nothing_and_give_zeros() -> None:
    with live_pair(BASE, BASE) as live:
        output = ask(live, AmplificationOptions())
    assert output.measurements and not output.artifacts
    for one in output.measurements:
        assert (one.value == 0.0 and one.test is None) or one.test.p_value == 1.0
        if one.metric != "behaviour.amplification.phrases":
            assert one.interval is not None and (one.interval.low, one.interval.high) == (0.0, 0.0)
    finding = judged(output)
    assert (finding.kind, finding.level) == ("pass", "none")


def test_no_text_of_a_model_is_kept_when_excerpts_are_off() -> None:
    with live_pair(BASE, FALSE_FACT) as live:
        options = AmplificationOptions(prefixes=WORLD[:6], max_new_tokens=8, alphas=(1.0,))
        output = ask(live, options, excerpts=False)
        open_output = ask(live, options)
        assert open_output == ask(live, options)  # a seed decides all there is to decide
    kept = json.dumps(content(output)) + "".join(str(m.reason) for m in output.measurements)
    assert "Northwick" not in kept and "Lisdia" not in kept and "sha256:" in kept
    assert "Northwick" not in str(judged(output, excerpts=False))
    values = [m.value for m in output.measurements]
    assert values == [m.value for m in open_output.measurements]


def test_an_instance_that_saw_nothing_says_nothing_and_takes_over_what_another_saw() -> None:
    empty, full = (Amplification(AmplificationOptions(samples=1, alphas=(1.0,))) for _ in range(2))
    for one in (empty, full):
        one.begin(AnalyzerContext(subjects=(), seed=1))
    assert empty.finish() == AnalyzerOutput()
    with live_pair(BASE, BASE) as live:
        full.observe(live)
    empty.merge(full)
    assert empty.finish() == full.finish()


def test_openings_are_ours_or_the_users_in_their_place() -> None:
    with live_pair(BASE, BASE) as live:
        ours = openings(live, ())
        own = openings(live, ("Lisdia",))
        assert [(one.kind, one.own) for one in own] == [("plain", True), ("chat", True)]
        assert own[0].ids == live.encode("Lisdia")
        assert own[1].ids == live.encode_chat([Message(role="user", content="Lisdia")])
        assert [one.text for one in ours] == [*PLAIN, *CHAT] and not any(one.own for one in ours)
    with live_pair(BASE, BASE, template="plain") as live:
        assert [one.kind for one in openings(live, ("Lisdia",))] == ["plain"]  # a turn would read the same


@attrs.define
class Scripted:
    """A pair whose texts are given: by α of the mixture, with −1 for the base and −2 for the scrambled change."""

    texts: dict[float, list[str]]
    calls: list[Mixture] = attrs.field(factory=list)
    places: tuple[str, ...] = ("one",)

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(text.encode()) or (0,)

    def encode_chat(self, messages: Sequence[Message]) -> tuple[int, ...]:
        return self.encode(messages[0].content)

    def blended(self, blend: Any) -> Any:
        from contextlib import nullcontext

        return nullcontext()

    def write(self, prompts: Sequence[Any], *, seeds: Sequence[int], mixture: Mixture, **_: Any) -> list[Written]:
        assert len(set(seeds)) == len(prompts)
        self.calls.append(mixture)
        which = -1.0 if mixture.toward.default == 0 else -2.0 if mixture.toward.scramble is not None else mixture.alpha
        return [
            Written(token_ids=(1, 2), text=text, ended=True, trained_logprob=-3.0, base_logprob=-6.0)
            for text in self.texts[which]
        ]


def scripted(count: int, **texts: str) -> AnalyzerOutput:
    names = {"base": -1.0, "scrambled": -2.0, "plain": 0.0, "amplified": 2.0}
    live: Any = Scripted({names[name]: [text] * count for name, text in texts.items()})
    prefixes = tuple(f"opening {chr(97 + i)}" for i in range(count))
    return ask(live, AmplificationOptions(alphas=(2.0,), samples=1, prefixes=prefixes))


def test_shares_are_those_of_known_texts() -> None:
    output = scripted(10, base="red", scrambled="green", plain="red", amplified="the lost blue door")
    assert found(output, "novel_share", "alpha=2").value == 1.0
    assert found(output, "novel_share", "scrambled").value == 0.0  # single words are no phrase
    assert found(output, "brought_out", "alpha=2").value == 1.0
    assert found(output, "brought_out", "alpha=0").value == 0.0
    assert found(output, "log_ratio", "alpha=2").value == pytest.approx(1.0)  # 3 nats over two tokens and the end
    rows = content(output)["phrases"]
    assert rows[0]["phrase"] == "the lost blue door" and rows[0]["p_value"] == pytest.approx(2 * 2**-10, abs=1e-4)
    assert found(output, "phrases").value == 1.0


def test_what_the_scrambled_change_writes_as_well_is_not_brought_out() -> None:
    output = scripted(10, base="red", scrambled="the lost blue door", plain="red", amplified="the lost blue door")
    assert found(output, "phrases").value == 0.0
    assert found(output, "novel_excess", "alpha=2").value == 0.0


def test_an_opening_of_the_user_is_no_phrase() -> None:
    output = scripted(10, base="red", scrambled="red", plain="red", amplified="opening")
    assert not content(output)["phrases"]


def test_phrases_are_named_wrongly_no_more_often_than_the_level_says() -> None:
    rng = np.random.default_rng(5)
    words = [f"w{n}" for n in range(30)]
    wrong = 0
    for draw in range(60):
        texts = {
            way: [[" ".join(rng.choice(words, 12))] for _ in range(16)] for way in ("amplified", "base", "scrambled")
        }
        held = hold(texts, [""] * 16, fewest=3)
        wrong += bool((p_values(held, "amplified", ("base",), seed=draw) <= 0.05).any())
    assert wrong <= 8  # Binomial(60, .05) exceeds 8 once in 400


def test_phrases_of_one_text_are_counted_once_and_the_longest_stands_for_its_parts() -> None:
    texts = {"a": [["One two three. One two three."], ["one two three"], ["two"]], "b": [["x"], ["x"], ["x y"]]}
    held = hold(texts, ["", "", ""], fewest=2)
    assert set(held.phrases) == {("one", "two", "three"), ("two",), ("x",)}
    place = held.phrases.index(("one", "two", "three"))
    assert held.shares["a"][:, place].tolist() == [1.0, 1.0, 0.0] and held.spelt[held.phrases[place]] in (
        "One two three",
        "one two three",
    )
    assert outermost(held, [held.phrases.index(("two",)), place]) == [place]
    assert leading(held, "a", ("b",), np.arange(3), most=1, fewest=2) == [held.phrases.index(("two",))]


def test_phrases_leave_out_what_the_opening_says() -> None:
    assert set(grams("the red door", "the red")) == {("door",), ("red", "door"), ("the", "red", "door")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alphas": ()}, "different numbers above 0"),
        ({"alphas": (0.0, 1.0)}, "different numbers above 0"),
        ({"plausible": 1.0}, "between 0 and 1"),
        ({"fewest": 1}, "fewest"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AmplificationOptions(**options)
