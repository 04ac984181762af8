"""How many different final answers a prompt gets, and what more attempts gain.

For prompt i with final answers a_1 … a_K of a side (samples without one left out), in counts c_g by answer g:

    entropy    −Σ (c_g/K) ln(c_g/K) + (kinds − 1)/(2K)          Miller–Madow; K ≥ 8 recommended
    distinct   Σ_g 1 − C(K − c_g, k)/C(K, k)                    expected kinds among k answers (arXiv 2504.05228)
    none       share of samples without a final answer
    pass@k     1 − C(n − c, k)/C(n, k), c of n samples right    (arXiv 2107.03374)

A contrast of entropy or distinct takes the same number of answers from both sides. What counts as a final answer:
`afterburn_behaviour.gold`.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from afterburn_behaviour.gold import final_answer, has_answers, mark
from afterburn_behaviour.quality_options import AnswerOptions
from afterburn_behaviour.units import SIDES, clusters
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.probes.model import Probe
from afterburn_core.result.identity import measure
from afterburn_core.result.identity import undefined as unmeasured
from afterburn_core.result.model import Interval, Measurement, Scope
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import Contrast, as_measurement, undefined
from afterburn_core.stats.entropy import distinct_k, entropy
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.paired import mean, paired_contrast, paired_rates, rate
from afterburn_core.stats.pass_at_k import PassAtK, compare_pass_at_k

ENTROPY = "behaviour.answers.entropy"
DISTINCT = "behaviour.answers.distinct"
NONE = "behaviour.answers.none"
PASS = "behaviour.pass_at_k"
CROSSOVER = "behaviour.pass_at_k.crossover"
RECOMMENDED = 8
_MOST_DISTINCT = 10


@attrs.frozen(kw_only=True)
class Attempts:
    """One side's samples of a prompt."""

    answers: tuple[str | None, ...]
    """Final answers; empty where the prompt's answers are not looked for."""
    marks: tuple[bool | None, ...]
    texts: tuple[str, ...]

    @property
    def given(self) -> list[str]:
        return [answer for answer in self.answers if answer is not None]


@attrs.frozen(kw_only=True)
class Asked:
    """One prompt with both sides' attempts."""

    probe: Probe
    base: Attempts
    trained: Attempts

    @property
    def sides(self) -> tuple[Attempts, Attempts]:
        return (self.base, self.trained)


class AnswerVariety:
    """Analyzer `behaviour.answers`."""

    def __init__(self, options: AnswerOptions) -> None:
        self._options = options
        self._asked: dict[str, Asked] = {}
        self._seed = 0

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed."""
        self._seed = context.seed

    def observe(self, item: Responses) -> None:
        """Finds and marks the final answers of the prompt."""
        base, trained = (self._attempts(item.probe, samples) for _, samples in item.sides())
        self._asked[item.probe.id] = Asked(probe=item.probe, base=base, trained=trained)

    def merge(self, other: AnswerVariety) -> None:
        """Takes in prompts that another instance observed."""
        self._asked.update(other._asked)

    def finish(self) -> AnalyzerOutput:
        """Per side, then the contrasts as one family, then the curves of pass@k."""
        prompts = [self._asked[name] for name in sorted(self._asked)]
        looked = [p for p in prompts if p.base.answers or p.trained.answers]
        found: list[Measurement] = []
        contrasts: dict[str, tuple[Scope, Contrast]] = {}
        k, short = _common_draws(looked)
        places = {ENTROPY: Scope(), DISTINCT: Scope(subset=f"k={k}") if k else Scope(), NONE: Scope()}
        for metric, scope in places.items():
            for number, side in enumerate(SIDES):
                found.append(self._side(metric, looked, number, side, scope, k))
            contrasts[metric] = (scope, self._contrast(metric, looked, k, short))
        done = adjust({metric: c for metric, (_, c) in contrasts.items()}, family="behaviour.answers")
        found += [as_measurement(done[metric], metric, scope=scope) for metric, (scope, _) in contrasts.items()]
        return AnalyzerOutput(measurements=(*found, *self._curves(prompts)))

    def _attempts(self, probe: Probe, samples: tuple[Sample, ...]) -> Attempts:
        answers = tuple(final_answer(probe, s) for s in samples) if has_answers(probe, samples) else ()
        marks = tuple(mark(probe, s).right for s in samples)
        return Attempts(answers=answers, marks=marks, texts=tuple(sample.text for sample in samples))

    def _side(self, metric: str, prompts: Sequence[Asked], number: int, side: str, scope: Scope, k: int) -> Measurement:
        values, kept = [], []
        for prompt in prompts:
            value = _value(metric, prompt.sides[number], k)
            if value is not None:
                values.append(value)
                kept.append(prompt.probe)
        if not values:
            return unmeasured(metric, _absent(metric, prompts), subjects=(side,), scope=scope, n=0)
        estimate = rate if metric == NONE else mean
        contrast = estimate(np.array(values), clusters=clusters(kept), seed=child_seed(self._seed, f"{metric}/{side}"))
        return as_measurement(contrast, metric, subjects=(side,), scope=scope)

    def _contrast(self, metric: str, prompts: Sequence[Asked], k: int, short: str | None) -> Contrast:
        rows = []
        for prompt in prompts:
            most = min(len(side.given) for side in prompt.sides)
            values = [_value(metric, side, k, most if metric == ENTROPY else None) for side in prompt.sides]
            if values[0] is not None and values[1] is not None:
                rows.append((values[0], values[1], prompt.probe, prompt.base.texts == prompt.trained.texts))
        if not rows:
            return undefined(_absent(metric, prompts))
        base, trained = (np.array([row[i] for row in rows], dtype=np.float64) for i in (0, 1))
        seed, of = child_seed(self._seed, metric), clusters([row[2] for row in rows])
        if metric == NONE:
            return paired_rates(base, trained, clusters=of, seed=seed, identical=all(row[3] for row in rows))
        contrast = paired_contrast(trained - base, clusters=of, seed=seed)
        notes = [note for note in (contrast.reason, short if metric == ENTROPY else None) if note]
        return attrs.evolve(contrast, reason="; ".join(notes) or None)

    def _curves(self, prompts: Sequence[Asked]) -> list[Measurement]:
        marked = [p for p in prompts if all(side.marks and all(m is not None for m in side.marks) for side in p.sides)]
        fewest = min((len(side.marks) for p in marked for side in p.sides), default=0)
        if fewest < 2 or len(marked) < 2:
            why = (
                "pass@k needs at least 2 samples of each prompt on both sides"
                if marked
                else "no prompt has marked answers on both sides"
            )
            return [unmeasured(metric, why, n=len(marked)) for metric in (PASS, CROSSOVER)]
        counts = [
            (
                np.array([len(p.sides[i].marks) for p in marked]),
                np.array([sum(map(bool, p.sides[i].marks)) for p in marked]),
            )
            for i in (0, 1)
        ]
        guess = np.array([1 / len(p.probe.choices) if p.probe.choices else 0.0 for p in marked])
        curves = compare_pass_at_k(
            counts[0],
            counts[1],
            seed=child_seed(self._seed, PASS),
            guess=guess if guess.any() else None,
            resamples=self._options.resamples,
        )
        if not curves.ks:
            return [unmeasured(metric, curves.reason or "no curve", n=curves.n) for metric in (PASS, CROSSOVER)]
        of_one_source = clusters([p.probe for p in marked]) is not None
        same = all(p.base.texts == p.trained.texts for p in marked)
        return _as_measurements(curves, of_one_source=of_one_source, same=same)


def _as_measurements(curves: PassAtK, *, of_one_source: bool, same: bool) -> list[Measurement]:
    notes = [curves.reason] if curves.reason else []
    if of_one_source:
        notes.append("prompts of one source count as independent in the band")
    reason = "; ".join(notes) or None
    found = []
    for subjects, curve in ((("base",), curves.base), (("trained",), curves.trained), (SIDES, curves.difference)):
        for k, value, low, high in zip(curves.ks, curve.values, curve.low, curve.high):
            measured = measure(PASS, value, subjects=subjects, scope=Scope(subset=f"k={k}"), n=curves.n, reason=reason)
            ends = max(min(low, value), -1.0), min(max(high, value), 1.0)
            band: Interval | None = Interval(
                low=ends[0], high=ends[1], level=curves.level, method="simultaneous_bootstrap"
            )
            if low == high:  # all prompts alike: resampling them shows no spread, and proves none
                band = None
            if same and len(subjects) == 2:
                band = Interval(low=0.0, high=0.0, level=curves.level, method="identical")
            found.append(attrs.evolve(measured, interval=band))
    if curves.crossover is None:
        found.append(unmeasured(CROSSOVER, f"base does not overtake trained up to k = {curves.ks[-1]}", n=curves.n))
    else:
        found.append(measure(CROSSOVER, curves.crossover, n=curves.n, reason="the band excludes 0 at the last k"))
    return found


def _value(metric: str, side: Attempts, k: int, most: int | None = None) -> float | None:
    if metric == NONE:
        return sum(a is None for a in side.answers) / len(side.answers) if side.answers else None
    given = side.given if most is None else side.given[:most]
    if len(given) < 2:
        return None
    return entropy(given) if metric == ENTROPY else distinct_k(given, k) if k else None


def _common_draws(prompts: Sequence[Asked]) -> tuple[int, str | None]:
    """k of distinct answers, 0 where no prompt has two answers; and the caveat where fewer than 8 answers are usual."""
    counts = [min(len(side.given) for side in p.sides) for p in prompts]
    usable = sorted(count for count in counts if count >= 2)
    if not usable:
        return 0, None
    median = usable[len(usable) // 2]
    caveat = None
    if median < RECOMMENDED:
        caveat = f"{median} answers per prompt: entropies are rough below {RECOMMENDED}"
    return min(_MOST_DISTINCT, usable[len(usable) // 10]), caveat


def _absent(metric: str, prompts: Sequence[Asked]) -> str:
    if not prompts:
        return "no prompt has a checker or labels by which final answers could be found"
    if metric == NONE:
        return "no prompt whose answers are looked for was answered by both sides"
    return "fewer than 2 final answers per prompt; ask for more samples"
