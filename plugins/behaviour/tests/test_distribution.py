"""Divergence, cross-scoring and perplexity on batches made by hand, against sums written out in float64."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from afterburn_behaviour.distribution.bounded import Best
from afterburn_behaviour.distribution.cross_scoring import CrossScoring
from afterburn_behaviour.distribution.divergence import Divergence
from afterburn_behaviour.distribution.estimates import Asked, estimated
from afterburn_behaviour.distribution.options import CrossScoringOptions, DivergenceOptions
from afterburn_behaviour.distribution.perplexity import Perplexity
from afterburn_core.forward.encoded import Encoded, Packed
from afterburn_core.forward.model import CONTENT, END, FIRST, TEMPLATE, Captured, ForwardBatch, Passage, TokenScores
from afterburn_core.forward.observing import scored_rows
from afterburn_core.forward.rows import rows_of
from afterburn_core.forward.scores import joined, token_scores
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.probes.model import Message
from afterburn_core.result.model import Measurement

V = 11
Logs = NDArray[np.float64]


@attrs.frozen(kw_only=True)
class Read:
    """A passage as both sides read it: log-probabilities (T, V) after each of its T tokens."""

    passage: Passage
    ids: tuple[int, ...]
    base: Logs = attrs.field(eq=False)
    trained: Logs = attrs.field(eq=False)
    prompt: int = 0
    """Tokens before the text."""
    control: Logs | None = attrs.field(default=None, eq=False)

    @property
    def encoded(self) -> Encoded:
        text = len(self.ids) - self.prompt
        own = [FIRST if i < 5 else CONTENT for i in range(text)]
        if self.passage.ended:
            own[-1] = END
        return Encoded(
            passage=self.passage, ids=self.ids, classes=bytes([TEMPLATE] * self.prompt + own), text_start=self.prompt
        )


def distributions(rng: np.random.Generator, length: int, spread: float = 2.0) -> Logs:
    logits = rng.normal(size=(length, V)) * spread
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


def reading(
    rng: np.random.Generator,
    name: str,
    source: str = "text",
    *,
    length: int = 9,
    prompt: int = 0,
    moved: float = 0.3,
    **facts: Any,
) -> Read:
    """A passage with random distributions, the trained ones moved at random."""
    base = distributions(rng, length)
    shifted = base + rng.normal(size=base.shape) * moved
    trained = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    passage = Passage(
        **{"id": name, "source": source, "domain": "d", "unit": name, "text": "a text", **facts}  # type: ignore[arg-type]
    )
    ids = [int(i) for i in rng.integers(0, V, length)]
    if passage.author is not None:  # written by that side
        own = np.exp(trained if moved and passage.author == "trained" else base)
        for t in range(max(prompt - 1, 0), length - 1):
            ids[t + 1] = int(rng.choice(V, p=own[t] / own[t].sum()))
    return Read(passage=passage, ids=tuple(ids), base=base, trained=trained if moved else base, prompt=prompt)


def batch(
    reads: Sequence[Read], *, dtype: str = "float32", bound: float | None = None, control: str | None = None
) -> ForwardBatch:
    """The observation that the pass would make of these readings, through its own rows and scores."""
    packed = Packed(number=0, encoded=tuple(read.encoded for read in reads))
    rows = rows_of(packed, "cpu", lambda token: f"<{token}>")
    index = scored_rows(rows)

    def scores(name: str, limit: float | None = None) -> TokenScores:
        # by passage: what is tested must not see the last bit of float32 that the width of a batch decides
        parts = []
        for number, read in enumerate(reads):
            own = index[rows.passage[index] == number]
            base, other = (torch.tensor(logs, dtype=torch.float32) for logs in (read.base, getattr(read, name)))
            at = rows.position[own]
            most = None if limit is None else torch.full((len(own),), limit, dtype=torch.float64)
            parts.append(token_scores(base[at], other[at], rows.target[own], bound=most))
        return joined(parts)

    return ForwardBatch(
        rows=rows,
        base=Captured(sites={}),
        trained=Captured(sites={}),
        controls={},
        scored=index,
        scores=scores("trained", bound),
        control_scores={control: scores("control")} if control else {},
        dtype=dtype,
    )


@pytest.fixture
def run(analyze: Callable[..., AnalyzerOutput]) -> Callable[..., AnalyzerOutput]:
    """An analyzer's output for some batches."""

    def go(kind: Any, batches: Sequence[ForwardBatch], **how: Any) -> AnalyzerOutput:
        options = {Divergence: DivergenceOptions(), CrossScoring: CrossScoringOptions(), Perplexity: None}
        given = how.pop("options", options[kind])
        return analyze(lambda: kind(given), batches, **how)

    return go


def values(output: AnalyzerOutput) -> dict[str, Measurement]:
    return {m.id: m for m in output.measurements}


def only(output: AnalyzerOutput, metric: str, subset: str | None = None, side: str | None = None) -> Measurement:
    subjects = ("base", "trained") if side is None else (side,)
    (found,) = [m for m in output.measurements if (m.metric, m.scope.subset, m.subjects) == (metric, subset, subjects)]
    return found


def content(output: AnalyzerOutput, artifact: str) -> Mapping[str, Any]:
    (found,) = [a for a in output.artifacts if a.id == artifact]
    parsed: Mapping[str, Any] = json.loads(found.content)
    return parsed


def kl(f: Logs, b: Logs) -> float:
    return math.fsum(float(np.exp(x) * (x - y)) for x, y in zip(f, b, strict=True))


def entropy(p: Logs) -> float:
    return -math.fsum(float(np.exp(x) * x) for x in p)


def rank(p: Logs, token: int) -> int:
    return sum(float(x) > float(p[token]) for x in p)


def mixed(seed: int = 3) -> list[Read]:
    """Texts of two domains, prompts, and both sides' answers; units with one and with several passages."""
    rng = np.random.default_rng(seed)
    reads = [
        reading(rng, f"t{i}", domain="one" if i % 2 else "two", length=4 + 3 * i % 30, unit=f"doc{i % 8}")
        for i in range(16)
    ]
    for i in range(7):
        asked: dict[str, Any] = {"unit": f"p{i}", "domain": "asked"}
        reads.append(reading(rng, f"p{i}", "prompt", length=6, prompt=6, text="", **asked))
        for author, moved in (("base", 0.2), ("trained", 0.8)):
            for sample in range(1 + i % 2):
                reads.append(
                    reading(
                        rng,
                        f"p{i}/{author}/{sample}",
                        "answer",
                        length=6 + 4 + 3 * i,
                        prompt=6,
                        moved=moved,
                        author=author,
                        ended=i != 3,
                        messages=(Message(role="user", content=f"question {i}"),),
                        **asked,
                    )
                )
    return reads


def by_source(reads: Sequence[Read], size: int = 3, **how: Any) -> list[ForwardBatch]:
    found = []
    for source in ("text", "prompt", "answer"):
        own = [read for read in reads if read.passage.source == source]
        found += [batch(own[i : i + size], **how) for i in range(0, len(own), size)]
    return found


def expected(reads: Sequence[Read], token: Callable[[Read, int], float | None], keep: Any = None) -> float:
    """Mean over units of the mean over passages of the mean over tokens, written out."""
    units: dict[str, list[float]] = {}
    for read in reads:
        last = len(read.ids) - (0 if read.passage.source == "prompt" else 1)
        found = []
        for t in range(last):
            place = t + 1 - read.prompt
            counts = read.passage.source != "answer" or place >= 0
            if counts and (keep is None or keep(read, t)):
                value = token(read, t)
                if value is not None:
                    found.append(value)
        if found:
            units.setdefault(read.passage.unit, []).append(math.fsum(found) / len(found))
    return math.fsum(math.fsum(v) / len(v) for v in units.values()) / len(units)


def of_target(value: Callable[[Read, int, int], float]) -> Callable[[Read, int], float | None]:
    return lambda read, t: value(read, t, read.ids[t + 1]) if t + 1 < len(read.ids) else None


TOKEN_VALUES: dict[str, Callable[[Read, int], float | None]] = {
    "kl": lambda r, t: kl(r.trained[t], r.base[t]),
    "kl_reverse": lambda r, t: kl(r.base[t], r.trained[t]),
    "jsd": lambda r, t: sum(
        0.5 * kl(side[t], np.log(0.5 * (np.exp(r.base[t]) + np.exp(r.trained[t])))) for side in (r.base, r.trained)
    ),
    "total_variation": lambda r, t: 0.5 * math.fsum(np.abs(np.exp(r.trained[t]) - np.exp(r.base[t]))),
    "flip_rate": lambda r, t: float(r.base[t].argmax() != r.trained[t].argmax()),
    "top_rank": lambda r, t: math.log1p(rank(r.trained[t], int(r.base[t].argmax()))),
    "rank_shift": of_target(lambda r, t, v: math.log1p(rank(r.trained[t], v)) - math.log1p(rank(r.base[t], v))),
    "entropy": lambda r, t: entropy(r.trained[t]) - entropy(r.base[t]),
    "margin": lambda r, t: float(np.diff(np.sort(r.trained[t])[-2:])[0] - np.diff(np.sort(r.base[t])[-2:])[0]),
}


@pytest.mark.parametrize("name", TOKEN_VALUES)
def test_every_quantity_of_divergence_is_the_float64_mean_over_units(name: str, run: Any) -> None:
    reads = mixed()
    found = only(run(Divergence, by_source(reads)), f"behaviour.divergence.{name}")
    assert found.value == pytest.approx(expected(reads, TOKEN_VALUES[name]), rel=2e-5, abs=2e-7)
    assert found.n == len({read.passage.unit for read in reads}) and found.interval is not None


PARTS: dict[str, Callable[[Read, int], bool]] = {
    "source=text": lambda r, t: r.passage.source == "text",
    "source=prompt": lambda r, t: r.passage.source == "prompt",
    "source=answer": lambda r, t: r.passage.source == "answer",
    "source=answer,author=base": lambda r, t: r.passage.author == "base",
    "source=answer,author=trained": lambda r, t: r.passage.author == "trained",
    "source=prompt,at=answer_start": lambda r, t: r.passage.source == "prompt" and t + 1 == len(r.ids),
    "source=answer,first=1": lambda r, t: r.passage.source == "answer" and t + 1 - r.prompt == 0,
    "source=answer,first=5": lambda r, t: r.passage.source == "answer" and t + 1 - r.prompt < 5,
    "source=text,first=20": lambda r, t: r.passage.source == "text" and t + 1 < 20,
    "source=text,after=20": lambda r, t: r.passage.source == "text" and t + 1 >= 20,
    "class=end": lambda r, t: bool(r.passage.ended) and t + 2 == len(r.ids),
    "class=template": lambda r, t: r.passage.source == "prompt" and t + 1 < len(r.ids),
    "domain=one": lambda r, t: r.passage.domain == "one",
    "domain=asked": lambda r, t: r.passage.domain == "asked",
}


@pytest.mark.parametrize("subset", PARTS)
def test_parts_hold_the_tokens_that_their_names_say(subset: str, run: Any) -> None:
    reads = mixed()
    # five units reach every part
    reads += [reading(np.random.default_rng(i), f"long{i}", length=30, domain="one", unit=f"long{i}") for i in range(5)]
    found = only(run(Divergence, by_source(reads)), "behaviour.divergence.kl", subset)
    assert found.value == pytest.approx(expected(reads, TOKEN_VALUES["kl"], PARTS[subset]), rel=2e-5)


def test_a_part_of_few_units_or_of_all_tokens_is_passed_over(run: Any) -> None:
    rng = np.random.default_rng(0)
    reads = [reading(rng, f"t{i}", domain="few" if i < 4 else "many") for i in range(20)]
    subsets = {m.scope.subset for m in run(Divergence, by_source(reads)).measurements}
    assert "domain=many" in subsets and "domain=few" not in subsets and "source=text" not in subsets


def test_kl_of_a_millionth_is_right_to_one_percent(run: Any) -> None:
    rng = np.random.default_rng(5)
    reads = [reading(rng, f"t{i}", length=40, moved=1.5e-3) for i in range(20)]
    found = only(run(Divergence, by_source(reads)), "behaviour.divergence.kl")
    truth = expected(reads, TOKEN_VALUES["kl"])
    assert 3e-7 < truth < 3e-6 and found.value == pytest.approx(truth, rel=0.01)


def test_the_same_model_gives_exact_zeros_and_no_examples(run: Any) -> None:
    reads = [attrs.evolve(read, trained=read.base) for read in mixed()]
    batches = by_source(reads, dtype="bfloat16")
    for kind in (Divergence, CrossScoring, Perplexity):
        output = run(kind, batches)
        pairs = [m for m in output.measurements if m.subjects == ("base", "trained")]
        # what compares answers with other answers is no comparison of the models
        pairs = [m for m in pairs if m.metric.split(".")[-1] != "base_surprise" and m.metric != CROSS_ENTROPY]
        assert pairs
        for m in pairs:
            assert (m.status, m.value) == ("ok", 0.0) and m.interval is not None, m.id
            assert (m.interval.low, m.interval.high, m.interval.method) == (0.0, 0.0, "identical"), m.id
            assert m.test is None or m.test.p_value == 1.0
            assert "rounding" not in (m.reason or "")
        assert not {a.id for a in output.artifacts} & {
            "behaviour.divergence_contexts",
            "behaviour.perplexity_difference",
        }


CROSS_ENTROPY = "behaviour.cross_scoring.entropy"


@pytest.mark.parametrize("kind", [Divergence, CrossScoring, Perplexity])
def test_order_division_and_size_of_batches_change_nothing(kind: Any, run: Any) -> None:
    reads = mixed()
    batches = by_source(reads)
    whole = run(kind, batches)
    shuffled = [batches[i] for i in np.random.default_rng(1).permutation(len(batches))]
    singly = by_source(list(reversed(reads)), size=1)
    for other in (run(kind, shuffled, parts=3), run(kind, singly, parts=2)):
        assert values(other).keys() == values(whole).keys()
        for name, m in values(whole).items():
            assert values(other)[name].value == pytest.approx(m.value, rel=1e-12, abs=1e-15), name
            ends = [None if x.interval is None else (x.interval.low, x.interval.high) for x in (values(other)[name], m)]
            assert ends[0] == (None if ends[1] is None else pytest.approx(ends[1], rel=1e-12, abs=1e-15)), name
        assert [(a.id, a.content) for a in other.artifacts] == [(a.id, a.content) for a in whole.artifacts]


def test_prompts_before_answers_and_other_sources_do_not_count(run: Any) -> None:
    rng = np.random.default_rng(2)
    answer = [reading(rng, f"a{i}", "answer", prompt=4, author="trained", unit=f"u{i}") for i in range(6)]
    silent = [
        attrs.evolve(a, base=np.where(np.arange(len(a.ids))[:, None] < 3, a.trained, a.base)) for a in answer
    ]  # the prompt's own tokens agree
    given = [reading(rng, f"g{i}", "given", moved=3.0) for i in range(6)]
    alone = run(Divergence, [batch(answer)])
    assert values(run(Divergence, [batch(silent), batch(given)])) == values(alone)
    assert not any(m.scope.subset == "class=template" for m in alone.measurements)


def test_contexts_are_the_heaviest_stretches_one_per_unit_with_their_tokens(run: Any) -> None:
    rng = np.random.default_rng(4)
    reads = [reading(rng, f"t{i:02d}", length=30, moved=0.05, unit=f"doc{i // 2}") for i in range(60)]
    planted = {7: 20, 12: 3, 13: 9}
    for number, at in planted.items():
        boosted = reads[number].base.copy()
        boosted[at] = distributions(rng, 1, spread=6.0)[0]
        reads[number] = attrs.evolve(reads[number], trained=boosted)
    output = run(Divergence, by_source(reads), options=DivergenceOptions(contexts=5, window=8), parts=3)
    contexts = content(output, "behaviour.divergence_contexts")["contexts"]
    assert len(contexts) == 5 and len({c["id"] for c in contexts}) == 5
    totals = [c["total"] for c in contexts]
    assert totals == sorted(totals, reverse=True)
    assert {c["id"] for c in contexts[:2]} <= {"t07", "t12", "t13"}  # 12 and 13 share a document
    for context in contexts[:2]:
        read = reads[int(context["id"][1:])]
        at = planted[int(context["id"][1:])]
        shown = range(context["start"], context["start"] + len(context["tokens"]))
        assert at + 1 in shown and len(context["tokens"]) <= 8
        assert context["tokens"] == [f"<{read.ids[place]}>" for place in shown]
        assert context["peak"]["token"] == f"<{read.ids[at + 1]}>"
        assert context["kl"] == pytest.approx([kl(read.trained[p - 1], read.base[p - 1]) for p in shown], rel=1e-4)
        nll = [-read.base[p - 1][read.ids[p]] for p in shown]
        assert context["base_nll"] == pytest.approx(nll, rel=1e-4)
        before = read.ids[max(0, context["start"] - 16) : context["start"]]
        assert context["lead"] == "".join(f"<{token}>" for token in before)


def test_without_excerpts_no_text_is_kept(run: Any) -> None:
    reads = mixed()
    batches = by_source(reads)
    for kind in (Divergence, CrossScoring):
        output = run(kind, batches, excerpts=False)
        told = b"".join(a.content for a in output.artifacts).decode()
        assert "question" not in told and "a text" not in told and "><" not in told and "sha256:" in told
        assert not any("question" in str(m) for m in output.measurements)


def test_the_curve_by_position_is_the_mean_over_units_that_reach_it(run: Any) -> None:
    reads = mixed()
    series = content(run(Divergence, by_source(reads)), "behaviour.divergence_positions")["series"]
    by = {(s["source"], s["author"]): s for s in series}
    assert set(by) == {("text", None), ("answer", "base"), ("answer", "trained")}
    answers = by["answer", "trained"]
    assert answers["position"][0] == 1 and by["text", None]["position"][0] == 2
    for number, (position, mean) in enumerate(zip(answers["position"], answers["kl"], strict=True)):
        own = [read for read in reads if read.passage.author == "trained"]
        truth = expected(own, TOKEN_VALUES["kl"], lambda r, t, p=position: t + 1 - r.prompt == p - 1)
        assert mean == pytest.approx(truth, rel=1e-4)
        assert answers["n"][number] >= 5 and answers["low"][number] <= mean <= answers["high"][number]


def test_controls_are_measured_beside_the_pair_and_rank_it(run: Any) -> None:
    rng = np.random.default_rng(6)
    reads = [reading(rng, f"t{i}", length=12) for i in range(12)]
    reads = [
        attrs.evolve(read, control=distributions(rng, 12) if i < 6 else read.trained) for i, read in enumerate(reads)
    ]
    output = run(Divergence, by_source(reads, control="control:rounding"))
    own = only(output, "behaviour.divergence.kl")
    control = only(output, "behaviour.divergence.control_kl", "control=rounding")
    truth = expected(reads, lambda r, t: kl(r.control[t], r.base[t]) if r.control is not None else None)
    assert control.value == pytest.approx(truth, rel=2e-5) and own.null is not None
    assert (own.null.control, own.null.n, own.null.quantile, own.null.p_value) == ("rounding", 1, 0.0, 1.0)
    above = [attrs.evolve(read, control=read.base) for read in reads]
    null = only(run(Divergence, by_source(above, control="control:scrambled")), "behaviour.divergence.kl").null
    assert null is not None and (null.control, null.quantile, null.p_value) == ("scrambled", 1.0, 0.5)


def test_a_rounding_floor_and_the_bound_of_a_sketch_are_said(run: Any) -> None:
    reads = mixed()
    plain = only(run(Divergence, by_source(reads)), "behaviour.divergence.kl")
    assert plain.reason is None and not plain.approximate and plain.interval is not None
    coarse = only(run(Divergence, by_source(reads, dtype="bfloat16")), "behaviour.divergence.kl")
    assert coarse.value == plain.value and "bfloat16: below about 2e-4 nats" in (coarse.reason or "")
    sketched = only(run(Divergence, by_source(reads, bound=0.01)), "behaviour.divergence.kl")
    assert sketched.approximate and "off by at most 0.01" in (sketched.reason or "") and sketched.interval is not None
    assert sketched.interval.high == pytest.approx(plain.interval.high + 0.01)
    assert sketched.interval.low == pytest.approx(max(0.0, plain.interval.low - 0.01))
    other = only(run(Divergence, by_source(reads, bound=0.01)), "behaviour.divergence.jsd")
    assert other.approximate and "without a bound" in (other.reason or "")


@pytest.mark.parametrize("name", ["sequence_log_ratio", "sequence_kl", "excess_trained"])
def test_what_rests_on_a_sketch_of_base_is_marked_in_cross_scoring(run: Any, name: str) -> None:
    exact, sketched = (run(CrossScoring, by_source(mixed(), bound=bound)) for bound in (None, 0.01))
    assert not only(exact, f"behaviour.cross_scoring.{name}").approximate
    assert only(sketched, f"behaviour.cross_scoring.{name}").approximate


def test_an_infinite_divergence_is_undefined_and_not_averaged(run: Any) -> None:
    rng = np.random.default_rng(8)
    batches = [batch([reading(rng, f"t{i}") for i in range(6)])]
    assert batches[0].scores is not None
    broken = batches[0].scores.kl.clone()
    broken[3] = math.inf
    batches[0] = attrs.evolve(batches[0], scores=attrs.evolve(batches[0].scores, kl=broken))
    output = run(Divergence, batches)
    found = only(output, "behaviour.divergence.kl")
    assert found.status == "undefined" and "infinite" in (found.reason or "")
    assert only(output, "behaviour.divergence.jsd").status == "ok"


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        (Divergence, "behaviour.divergence.kl"),
        (CrossScoring, "behaviour.cross_scoring.excess_trained"),
        (Perplexity, "behaviour.perplexity.log_ratio"),
    ],
)
def test_nothing_read_is_undefined_with_a_reason(kind: Any, metric: str, run: Any) -> None:
    found = only(run(kind, []), metric)
    assert found.status == "undefined" and found.reason and found.n == 0


def nll(read: Read, side: str) -> Callable[[Read, int], float | None]:
    return of_target(lambda r, t, v: -float(getattr(r, side)[t][v]))


def test_the_two_by_two_table_and_its_contrasts_are_the_float64_ones(run: Any) -> None:
    reads = [read for read in mixed() if read.passage.source == "answer"]
    output = run(CrossScoring, by_source(reads))

    def in_text(end: bool) -> Callable[[Read, int], bool]:
        return lambda r, t: (bool(r.passage.ended) and t + 2 == len(r.ids)) is end

    m = {}
    for g in ("base", "trained"):
        own = [read for read in reads if read.passage.author == g]
        for s in ("base", "trained"):
            score = of_target(lambda r, t, v, s=s: -float(getattr(r, s)[t][v]))
            m[g, s] = expected(own, score, in_text(False))
            found = only(output, "behaviour.cross_scoring.nll", f"author={g}", s)
            assert found.value == pytest.approx(m[g, s], rel=1e-5) and found.n == 7
            ends = only(output, "behaviour.cross_scoring.end_nll", f"author={g}", s)
            assert ends.value == pytest.approx(expected(own, score, in_text(True)), rel=1e-5) and ends.n == 6
    for name, truth in (
        ("excess_trained", m["trained", "base"] - m["trained", "trained"]),
        ("excess_base", m["base", "trained"] - m["base", "base"]),
        ("base_surprise", m["trained", "base"] - m["base", "base"]),
    ):
        found = only(output, f"behaviour.cross_scoring.{name}")
        assert found.value == pytest.approx(truth, rel=1e-4, abs=1e-6)
        assert found.test is not None and found.test.family == "behaviour.cross_scoring"
    entropies = {}
    for side in ("base", "trained"):
        own = [read for read in reads if read.passage.author == side]
        of_side: Callable[[Read, int], float] = lambda r, t, side=side: entropy(getattr(r, side)[t])  # type: ignore[misc]  # noqa: E731
        entropies[side] = expected(own, of_side, in_text(False))
        assert only(output, CROSS_ENTROPY, f"author={side}", side).value == pytest.approx(entropies[side], rel=1e-5)
    change = only(output, CROSS_ENTROPY)
    assert change.value == pytest.approx(entropies["trained"] - entropies["base"], rel=1e-3, abs=1e-6)


def test_sequence_sums_count_every_token_of_trained_answers_and_the_end(run: Any) -> None:
    reads = [read for read in mixed() if read.passage.author == "trained"]
    output = run(CrossScoring, by_source(reads))
    units: dict[str, list[tuple[float, float]]] = {}
    for read in reads:
        steps = range(read.prompt - 1, len(read.ids) - 1)
        ratio = math.fsum(float((read.trained - read.base)[t][read.ids[t + 1]]) for t in steps)
        units.setdefault(read.passage.unit, []).append(
            (ratio, math.fsum(kl(read.trained[t], read.base[t]) for t in steps))
        )
    truth = np.mean([np.mean(sums, axis=0) for sums in units.values()], axis=0)
    assert only(output, "behaviour.cross_scoring.sequence_log_ratio").value == pytest.approx(truth[0], rel=1e-4)
    assert only(output, "behaviour.cross_scoring.sequence_kl").value == pytest.approx(truth[1], rel=1e-4)


def test_sampled_answers_estimate_the_known_kl_of_sequences(run: Any) -> None:
    """Answers of 12 independent tokens from a known distribution: KL of the whole is 12 times that of one token."""
    rng = np.random.default_rng(11)
    base, trained = distributions(rng, 1, spread=1.0)[0], distributions(rng, 1, spread=1.0)[0]
    reads = []
    for i in range(200):
        drawn = rng.choice(V, size=12, p=np.exp(trained) / np.exp(trained).sum())
        facts: dict[str, Any] = {"author": "trained", "unit": f"u{i}"}
        read = reading(rng, f"a{i}", "answer", prompt=1, length=13, **facts)
        logs = {name: np.tile(one, (13, 1)) for name, one in (("base", base), ("trained", trained))}
        reads.append(attrs.evolve(read, ids=(0, *map(int, drawn)), base=logs["base"], trained=logs["trained"]))
    output = run(CrossScoring, by_source(reads, size=40))
    truth = 12 * kl(trained, base)
    ratio = only(output, "behaviour.cross_scoring.sequence_log_ratio")
    assert ratio.interval is not None and ratio.interval.low < truth < ratio.interval.high
    assert only(output, "behaviour.cross_scoring.sequence_kl").value == pytest.approx(truth, rel=1e-5)


def test_perplexity_differencing_ranks_trained_answers_by_what_base_misses(run: Any) -> None:
    reads = [read for read in mixed() if read.passage.source == "answer"]
    found = content(run(CrossScoring, by_source(reads), parts=2), "behaviour.perplexity_difference")["examples"]
    truth = {}
    for read in reads:
        if read.passage.author == "trained" and len(read.ids) - read.prompt >= 5:
            steps = range(read.prompt - 1, len(read.ids) - 1)
            mean = float(np.mean([(read.trained - read.base)[t][read.ids[t + 1]] for t in steps]))
            unit = read.passage.unit
            truth[unit] = max(truth.get(unit, (0.0, "")), (mean, read.passage.id))
    ranked = [entry for entry in sorted(truth.values(), reverse=True) if entry[0] > 0]
    assert [example["id"] for example in found] == [name for _, name in ranked] and len(found) >= 3
    assert found[0]["difference"] == pytest.approx(ranked[0][0], rel=1e-4)
    best = next(read for read in reads if read.passage.id == found[0]["id"])
    assert found[0]["tokens"] == [f"<{token}>" for token in best.ids[best.prompt :]]
    assert found[0]["prompt"].startswith("question") and found[0]["cut"] == 0


def test_perplexity_by_token_by_byte_and_as_a_paired_ratio(run: Any) -> None:
    reads = [read for read in mixed() if read.passage.source == "text"]
    output = run(Perplexity, by_source(reads))
    m = {side: expected(reads, nll(reads[0], side)) for side in ("base", "trained")}
    for side in m:
        assert only(output, "behaviour.perplexity.nll", side=side).value == pytest.approx(m[side], rel=1e-5)
    ratio = only(output, "behaviour.perplexity.log_ratio")
    assert ratio.value == pytest.approx(m["trained"] - m["base"], rel=1e-4) and ratio.n == 8
    per_byte: dict[str, list[float]] = {}
    for read in reads:
        total = math.fsum(-float(read.base[t][read.ids[t + 1]]) for t in range(len(read.ids) - 1))
        size = sum(len(f"<{token}>") for token in read.ids[1:])
        per_byte.setdefault(read.passage.unit, []).append(total / size)
    truth = float(np.mean([np.mean(values) for values in per_byte.values()]))
    assert only(output, "behaviour.perplexity.nll_per_byte", side="base").value == pytest.approx(truth, rel=1e-5)
    domains = {m.scope.subset for m in output.measurements}
    assert domains == {None} or domains == {None, "domain=one", "domain=two"}


def test_a_store_of_the_best_does_not_depend_on_order_or_division() -> None:
    rng = np.random.default_rng(9)
    offers = [(f"u{rng.integers(40)}", float(rng.integers(30)), f"id{i:03d}") for i in range(300)]
    best: dict[str, tuple[float, str]] = {}
    for unit, score, name in offers:
        best[unit] = min(best.get(unit, (0.0, "~")), (-score, name))
    truth = sorted(best.values())[:7]
    for _ in range(20):
        order = rng.permutation(len(offers))
        stores = [Best(7) for _ in range(3)]
        for position, i in enumerate(order):
            unit, score, name = offers[int(i)]
            stores[position % 3].offer(unit, score, name, lambda name=name: name)  # type: ignore[misc]
        stores[0].merge(stores[2])
        stores[0].merge(stores[1])
        assert [(-score, name) for score, name in stores[0]] == truth


def test_intervals_of_skewed_kl_cover_what_they_promise(run: Any) -> None:
    """KL by token exponential about a log-normal mean of its document; tokens, passages and documents vary in number.

    200 runs of 80 documents: an interval that took tokens for units would cover about a quarter of the time.
    """
    rng = np.random.default_rng(12)
    truth, runs, documents = math.exp(0.5 * 0.8**2), 200, 80
    asked, naive = [], 0
    for number in range(runs):
        level = np.exp(0.8 * rng.normal(size=documents))
        sizes = rng.integers(5, 60, size=(documents, 2))
        means = level[:, None] * rng.gamma(sizes, 1 / sizes)  # a mean of so many exponential values of mean 1
        asked.append(Asked(metric=f"m{number}", values=means.mean(axis=1), low=0.0))
        tokens = float(sizes.sum())
        error = float(np.sqrt((level**2 * sizes.sum(axis=1)).sum() / tokens) / np.sqrt(tokens))
        naive += abs(float((means * sizes).sum() / tokens) - truth) <= 1.96 * error
    found = estimated(asked, seed=1)
    hits = sum(m.interval is not None and m.interval.low <= truth <= m.interval.high for m in found)
    assert 0.90 <= hits / runs <= 0.99, hits
    assert naive / runs < 0.5
