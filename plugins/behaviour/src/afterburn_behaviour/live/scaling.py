"""Dose curves of the change of the weights: W + λΔ, its leading singular directions, and its parts by layer and module.

For every λ, for every rank k (Δ truncated to its k leading singular directions, matrix by matrix) and for every band of
layers × {attention, MLP} (that part of λΔ alone on the base), from plain text that the forward pass read,

    kl_base     mean over positions of KL(p_λ ‖ p_base)
    kl_trained  mean over positions of KL(p_λ ‖ p_trained)
    nll         mean over tokens of ln p_base(next) − ln p_λ(next)

and, by λ and rank, from the run's own questions answered greedily: length in tokens and the share of right answers.
Passages (prompts) of one unit are averaged first, units are what is counted, and every difference is paired. How much
a part of the change carries is `recovered` = 1 − mean KL(W_part ‖ trained) / mean KL(base ‖ trained).

Shapes over λ ≥ 0 are described by `shapes`: of √kl_base, which is linear in λ where log-probabilities are, of nll, of
length and of right answers. Negative λ shows what training suppressed: it is in the curves, and in no shape.

Metrics stand at `Scope(subset="lambda=0.5")`, `Scope(subset="rank=1")` and `Scope(subset="layers 0-3 lambda=1",
module="mlp")`.

Artifact `behaviour.scaling` (JSON): `curves` (all of the change, by λ), `ranks` and `bands`: lists of {lambda, rank,
layers, part, values: {quantity: {mean, low, high, n}}}, where `kl_base`, `kl_trained`, `tokens`, `right` and `cut` (the
share of answers cut at the token limit) are means, `nll`, `length` and `correct` differences from the base, and
`recovered` stands in ranks and bands; `shapes` {quantity: {form, told, support, aicc, explained, at, p_value} or
{reason}}; `units` {passages, prompts}; `per_unit` {quantity: one row of values by λ for every unit}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_behaviour.live import asking, reading
from afterburn_behaviour.live.doses import Dose, doses
from afterburn_behaviour.live.options import ScalingOptions
from afterburn_behaviour.live.shapes import Shape, describe
from afterburn_core.forward.live import Live
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import measure
from afterburn_core.result.identity import undefined as unmeasured
from afterburn_core.result.model import Interval, Measurement, Test
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.bands import ratio_of_means
from afterburn_core.stats.contrast import Contrast, as_measurement, undefined
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.paired import means, paired_contrasts, paired_rate_contrasts, rate

Floats = NDArray[np.float64]
METRICS = {name: f"behaviour.scaling.{name}" for name in ("kl_base", "kl_trained", "nll", "length", "correct")}
RECOVERED = "behaviour.scaling.recovered"
_CENSORED = 0.05
"""Share of cut answers above which lengths are said to be censored."""
_NO_TEXT = "no plain text was read in this run"
_NO_QUESTION = "no question was asked in this run"


class Scaling:
    """Analyzer `behaviour.scaling`."""

    def __init__(self, options: ScalingOptions) -> None:
        self._options = options
        self._seed = 0
        self._seen = False
        self._identical = False
        self._doses: tuple[Dose, ...] = ()
        self._read: list[dict[str, Floats]] = []
        self._answered: list[dict[str, Floats] | None] = []
        self._units = (0, 0)

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed."""
        self._seed = context.seed

    def observe(self, item: Live) -> None:
        """Reads and asks at every dose; nothing where the models are equal."""
        self._seen = True
        self._identical = not item.places
        if self._identical:
            return
        self._doses = doses(item, self._options)
        reference = reading.Reference(item, self._options)
        questions = asking.Questions(item, self._options, self._seed)
        self._units = len(reference.units), len(questions.units)
        for dose in self._doses:
            with item.blended(dose.blend):
                self._read.append(reference.values(item, dose.blend) if reference.units else {})
                asked = questions.units and dose.part is None
                self._answered.append(questions.values(item, dose.blend) if asked else None)

    def merge(self, other: Scaling) -> None:
        """Takes in what another instance saw; one pair of models is looked at once."""
        if other._seen and not self._seen:
            self._seen, self._identical, self._doses = True, other._identical, other._doses
            self._read, self._answered, self._units = other._read, other._answered, other._units

    def finish(self) -> AnalyzerOutput:
        """Metrics by dose, shapes, and the curves; nothing but zeros where the models are equal."""
        if not self._seen:
            return AnalyzerOutput()
        if self._identical:
            return AnalyzerOutput(measurements=_nothing())
        found = {**self._texts(), **self._answers()}
        recovered = self._recovered()
        measurements = [
            as_measurement(one, METRICS[quantity], scope=dose.scope)
            for quantity in METRICS
            for dose in self._doses
            if (one := found.get((quantity, dose))) is not None
        ]
        measurements += [as_measurement(one, RECOVERED, scope=dose.scope) for dose, one in recovered.items()]
        if not self._units[0]:
            measurements += [unmeasured(METRICS[name], _NO_TEXT, n=0) for name in ("kl_base", "kl_trained", "nll")]
        if not self._units[1]:
            measurements += [unmeasured(METRICS[name], _NO_QUESTION, n=0) for name in ("length", "correct")]
        return AnalyzerOutput(measurements=tuple(measurements), artifacts=(self._artifact(found, recovered),))

    def _table(self, quantity: str, rows: Sequence[Mapping[str, Floats] | None]) -> dict[Dose, Floats]:
        return {dose: own[quantity] for dose, own in zip(self._doses, rows, strict=True) if own and quantity in own}

    def _texts(self) -> dict[tuple[str, Dose], Contrast]:
        found: dict[tuple[str, Dose], Contrast] = {}
        for quantity in ("kl_base", "kl_trained"):
            found |= self._means(quantity, self._table(quantity, self._read))
        return found | self._differences("nll", self._table("nll", self._read))

    def _answers(self) -> dict[tuple[str, Dose], Contrast]:
        tokens, right, cut = (self._table(name, self._answered) for name in asking.QUANTITIES)
        found = self._means("tokens", tokens)
        lengths = self._differences("length", {dose: np.log1p(own) for dose, own in tokens.items()})
        for (name, dose), one in lengths.items():
            share = float(cut[dose].mean())
            if share > _CENSORED:
                told = f"censored: {100 * share:.0f} % of the answers were cut at {self._options.max_new_tokens} tokens"
                one = attrs.evolve(one, reason=f"{one.reason}; {told}" if one.reason else told)
            found[name, dose] = one
        found |= {("cut", dose): rate(own, seed=child_seed(self._seed, "cut")) for dose, own in cut.items()}
        # a unit that cannot be checked at one dose is missing there, and keeps its place: rates are paired by unit
        if all(np.isnan(own).all() for own in right.values()):
            why = "no question has an answer that can be checked"
            return found | {("correct", self._doses[0]): undefined(why)} if right else found
        found |= {("right", dose): rate(own, seed=child_seed(self._seed, "right")) for dose, own in right.items()}
        return found | self._rates("correct", right)

    def _means(self, quantity: str, table: Mapping[Dose, Floats]) -> dict[tuple[str, Dose], Contrast]:
        named = {dose.name + str(dose.part): own for dose, own in table.items()}
        found = means(named, seed=child_seed(self._seed, quantity)) if named else {}
        out = {(quantity, dose): found[dose.name + str(dose.part)] for dose in table}
        for (name, dose), one in out.items():
            reference = {"kl_base": 0.0, "kl_trained": 1.0}.get(name)
            if dose.whole and dose.scale == reference:  # a model against itself, which is known and not estimated
                out[name, dose] = attrs.evolve(one, interval=_zero(), reason=None)
        return out

    def _differences(self, quantity: str, table: Mapping[Dose, Floats]) -> dict[tuple[str, Dose], Contrast]:
        if not table:
            return {}
        base = next(own for dose, own in table.items() if dose.whole and dose.scale == 0)
        named = {dose: own - base for dose, own in table.items()}
        by_name = {str(number): own for number, own in enumerate(named.values())}
        same = {str(number) for number, dose in enumerate(named) if dose.whole and dose.scale == 0}
        tested = paired_contrasts(by_name, seed=child_seed(self._seed, quantity), identical=same)
        tested = adjust(tested, family=f"{quantity} by dose")
        return {(quantity, dose): tested[str(number)] for number, dose in enumerate(named)}

    def _rates(self, quantity: str, table: Mapping[Dose, Floats]) -> dict[tuple[str, Dose], Contrast]:
        base = next(own for dose, own in table.items() if dose.whole and dose.scale == 0)
        by_name = {str(number): own for number, own in enumerate(table.values())}
        same = {str(number) for number, dose in enumerate(table) if dose.whole and dose.scale == 0}
        tested = paired_rate_contrasts(
            dict.fromkeys(by_name, base), by_name, seed=child_seed(self._seed, quantity), identical=same
        )
        tested = adjust(tested, family=f"{quantity} by dose")
        return {(quantity, dose): tested[str(number)] for number, dose in enumerate(table)}

    def _recovered(self) -> dict[Dose, Contrast]:
        """By rank and band at λ = 1; undefined where the base is no further from the trained model than noise."""
        table = self._table("kl_trained", self._read)
        if not table:
            return {}
        base = next(own for dose, own in table.items() if dose.whole and dose.scale == 0)
        found = {}
        for dose, own in table.items():
            if dose.whole or dose.scale != 1:
                continue
            one = ratio_of_means(own, base, seed=child_seed(self._seed, dose.name))
            turned = one.interval and attrs.evolve(one.interval, low=1 - one.interval.high, high=1 - one.interval.low)
            found[dose] = attrs.evolve(
                one, estimate=None if one.estimate is None else 1 - one.estimate, interval=turned
            )
        return found

    def _shapes(self) -> dict[str, Shape | str]:
        rising = [number for number, dose in enumerate(self._doses) if dose.whole and dose.scale >= 0]
        scales = np.array([self._doses[number].scale for number in rising])
        curves: dict[str, Floats] = {}
        if self._units[0]:
            curves["kl_base"] = np.sqrt(np.stack([self._read[number]["kl_base"] for number in rising], axis=1))
            curves["nll"] = np.stack([self._read[number]["nll"] for number in rising], axis=1)
        if self._units[1]:
            tokens, right = (
                np.stack([own[name] for number in rising if (own := self._answered[number])], axis=1)
                for name in ("tokens", "right")
            )
            curves["length"] = np.log1p(tokens)
            curves["correct"] = right[~np.isnan(right).any(axis=1)]
        return {
            name: describe(scales, own, seed=child_seed(self._seed, f"shape/{name}")) for name, own in curves.items()
        }

    def _artifact(
        self, found: Mapping[tuple[str, Dose], Contrast], recovered: Mapping[Dose, Contrast]
    ) -> ArtifactPayload:
        def entry(dose: Dose) -> dict[str, Any]:
            values = {quantity: _point(one) for (quantity, own), one in found.items() if own is dose}
            if dose in recovered:
                values["recovered"] = _point(recovered[dose])
            return {
                "lambda": dose.scale,
                "rank": dose.rank,
                "layers": dose.layers,
                "part": dose.part,
                "values": values,
            }

        content = {
            "curves": [entry(dose) for dose in self._doses if dose.whole],
            "ranks": [entry(dose) for dose in self._doses if dose.rank is not None],
            "bands": [entry(dose) for dose in self._doses if dose.part is not None],
            "shapes": {name: _described(shape) for name, shape in self._shapes().items()},
            "units": {"passages": self._units[0], "prompts": self._units[1]},
            "per_unit": {
                name: [[_number(value) for value in row] for row in np.stack(list(table.values()), axis=1)]
                for name, rows in (("kl_base", self._read), ("nll", self._read), ("tokens", self._answered))
                if (table := {d: own for d, own in self._table(name, rows).items() if d.whole})
            },
        }
        return ArtifactPayload(
            id="behaviour.scaling",
            suffix=".json",
            media_type="application/json",
            summary="Divergence, likelihood and behaviour as functions of how much of the change is applied, and where",
            content=json.dumps(content, sort_keys=True, allow_nan=False).encode(),
        )


def _zero() -> Interval:
    return Interval(low=0.0, high=0.0, level=0.95, method="identical")


def _nothing() -> tuple[Measurement, ...]:
    """Equal models are equal at every dose; nothing had to be read to know it."""
    found = []
    for quantity, metric in METRICS.items():
        one = attrs.evolve(measure(metric, 0.0, n=0, reason="no weight differs"), interval=_zero())
        tested = quantity in ("nll", "length", "correct")
        found.append(attrs.evolve(one, test=Test(name="sign_flip", p_value=1.0)) if tested else one)
    return tuple(found)


def _point(one: Contrast) -> dict[str, Any]:
    return {
        "mean": _number(one.estimate),
        "low": None if one.interval is None else _number(one.interval.low),
        "high": None if one.interval is None else _number(one.interval.high),
        "n": one.n,
    }


def _described(shape: Shape | str) -> dict[str, Any]:
    if isinstance(shape, str):
        return {"reason": shape}
    return {**attrs.asdict(shape), "told": shape.told()}


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.6g}")
