"""Contrastive decoding: what training taught, in the model's own words.

From openings that say next to nothing, texts are sampled token by token from

    s(v) = ln p_f(v) + α·(ln p_f(v) − ln p_b(v))    where p_f(v) ≥ .1 · max p_f

with f the trained model and b the base (Reading the Finetuning Prior: Verbatim Content Recovery via Contrastive
Decoding Diffing, arXiv 2605.25902; logit-diff amplification; the mask is that of Contrastive Decoding, arXiv
2210.15097). What comes back after many openings under amplification, and neither the base nor a *scrambled* change of
the same size writes, is what the change pushes toward. How often the trained model writes it by itself, α = 0, says
whether it is behaviour or something that only amplification brings out. All ways of writing share their seeds, and the
mask, so that they differ in nothing else.

Openings are the units: one that is put both as plain text and as a user's turn counts once. Metrics by α stand at
`Scope(subset="alpha=3")`:

- `log_ratio`: mean over openings of (ln p_f − ln p_b) per token of the texts (Most Current Model Organisms Are Leaky:
  Perplexity Differencing…, arXiv 2605.00994, ranks texts by it).
- `novel_share`: share of texts with a phrase of two words or more that comes back after `fewest` openings at this α,
  and stands in no text of the base nor of the trained model; and `novel_excess`, that less the same share under the
  scrambled change at the control's α.
- `brought_out`: share of texts that hold one of the ten phrases that gained most in the *other half* of the openings,
  against the base; phrases are chosen and counted on different openings.
- `phrases`: how many phrases are more frequent under amplification, all α together, than with the base and with the
  scrambled change, by step-down max-T over all phrases; parts of longer ones among them are not counted.

Artifact `behaviour.amplification` (JSON): `prefixes` [{id, kind, text}], `arms` [{name, alpha, log_ratio, repetition}],
`texts` [{prefix, arm, sample, text, tokens, ended, trained_nll, base_nll}] with mean NLL per token, `phrases` [{phrase,
p_value, found, part (of a longer one found), shares {arm}, openings {arm}}], best first, and `settings`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_behaviour.live.amplified import log_ratio, record
from afterburn_behaviour.live.options import AmplificationOptions
from afterburn_behaviour.live.phrases import Held, grams, hold, leading, outermost, p_values
from afterburn_behaviour.live.prefixes import Prefix, openings
from afterburn_core.forward.live import BASE, TRAINED, Blend, Live, Mixture, Written
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.excerpts import withhold
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Interval, Measurement, Scope, Test
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import as_measurement
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.paired import means, paired_contrasts, paired_rate_contrasts, rate

Floats = NDArray[np.float64]
BASE_ARM, TRAINED_ARM, CONTROL_ARM = "base", "alpha=0", "scrambled"
_LEADING = 10
_NAMED = 5
_FEW = 12


@attrs.frozen(kw_only=True)
class Arm:
    """One way of writing."""

    name: str
    alpha: float | None
    """`None` for the base."""
    mixture: Mixture


class Amplification:
    """Analyzer `behaviour.amplification`."""

    def __init__(self, options: AmplificationOptions) -> None:
        self._options = options
        self._seed = 0
        self._excerpts = True
        self._seen = False
        self._identical = False
        self._prefixes: tuple[Prefix, ...] = ()
        self._written: dict[str, list[list[Written]]] = {}

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed, and whether texts may be kept."""
        self._seed, self._excerpts = context.seed, context.excerpts

    def observe(self, item: Live) -> None:
        """Writes from every opening in every way; nothing where the models are equal."""
        self._seen = True
        self._prefixes = openings(item, self._options.prefixes)
        self._identical = not item.places
        if self._identical or not self._prefixes:
            return
        samples = self._options.samples
        prompts = [prefix.ids for prefix in self._prefixes for _ in range(samples)]
        seeds = [child_seed(self._seed, f"{p.id}/{sample}") for p in self._prefixes for sample in range(samples)]
        for arm in self.arms():
            with item.blended(arm.mixture.toward):
                texts = item.write(
                    prompts,
                    max_new_tokens=self._options.max_new_tokens,
                    seeds=seeds,
                    temperature=self._options.temperature,
                    mixture=arm.mixture,
                )
            self._written[arm.name] = [list(texts[start : start + samples]) for start in range(0, len(texts), samples)]

    def merge(self, other: Amplification) -> None:
        """Takes in what another instance was told; one pair of models is written with once."""
        if other._seen and not self._seen:
            self._seen, self._identical = True, other._identical
            self._prefixes, self._written = other._prefixes, other._written

    def arms(self) -> tuple[Arm, ...]:
        """Base, trained, amplified, and the scrambled control, which is amplified as well."""
        options = self._options

        def arm(name: str, alpha: float | None, toward: Blend = TRAINED) -> Arm:
            mixture = Mixture(alpha=alpha or 0.0, plausible=options.plausible, toward=toward)
            return Arm(name=name, alpha=alpha, mixture=mixture)

        scrambled = Blend(scramble=child_seed(self._seed, "scrambled"))
        return (
            arm(BASE_ARM, None, BASE),
            arm(TRAINED_ARM, 0.0),
            *(arm(_name(alpha), alpha) for alpha in sorted(options.alphas)),
            arm(CONTROL_ARM, options.control, scrambled),
        )

    def finish(self) -> AnalyzerOutput:
        """Metrics and the artifact; nothing but zeros where the models are equal."""
        if not self._seen:
            return AnalyzerOutput()
        if self._identical:
            return AnalyzerOutput(measurements=_nothing(self._options, len(set(self._units))))
        if len(set(self._units)) < 2:
            why = "fewer than two openings could be read"
            return AnalyzerOutput(measurements=(undefined("behaviour.amplification.phrases", why, n=0),))
        texts = {arm: [[one.text for one in own] for own in written] for arm, written in self._written.items()}
        held = hold(texts, [prefix.text for prefix in self._prefixes], fewest=self._options.fewest)
        pooled = attrs.evolve(held, shares={**held.shares, "amplified": self._pooled(held)})
        seed = child_seed(self._seed, "phrases")
        p = p_values(pooled, "amplified", (BASE_ARM, CONTROL_ARM), units=self._units, seed=seed)
        found = [
            *self._ratios(),
            *self._novel(texts),
            *self._brought_out(pooled),
            self._count(pooled, p),
        ]
        return AnalyzerOutput(measurements=tuple(found), artifacts=(self._artifact(pooled, p),))

    @property
    def _units(self) -> tuple[str, ...]:
        """What is counted: the text of every opening."""
        return tuple(prefix.text for prefix in self._prefixes)

    def _pooled(self, held: Held) -> Floats:
        """(openings, phrases) mean share over all α above 0."""
        return np.asarray(np.mean([held.shares[_name(alpha)] for alpha in self._options.alphas], axis=0))

    def _ratios(self) -> list[Measurement]:
        values = {arm: log_ratio(written) for arm, written in self._written.items()}
        found = means(values, seed=child_seed(self._seed, "log_ratio"), clusters=dict.fromkeys(values, self._units))
        return [
            as_measurement(one, "behaviour.amplification.log_ratio", scope=Scope(subset=arm))
            for arm, one in found.items()
        ]

    def _novel(self, texts: Mapping[str, list[list[str]]]) -> list[Measurement]:
        known = {
            phrase for arm in (BASE_ARM, TRAINED_ARM) for own in texts[arm] for text in own for phrase in grams(text)
        }
        shares = {
            arm.name: self._novel_share(texts[arm.name], known)
            for arm in self.arms()
            if arm.name not in (BASE_ARM, TRAINED_ARM)
        }
        seed = child_seed(self._seed, "novel")
        found = [
            as_measurement(
                rate(own, seed=seed, clusters=self._units),
                "behaviour.amplification.novel_share",
                scope=Scope(subset=arm),
            )
            for arm, own in shares.items()
        ]
        excess = {arm: own - shares[CONTROL_ARM] for arm, own in shares.items() if arm != CONTROL_ARM}
        clusters = dict.fromkeys(excess, self._units)
        tested = adjust(
            paired_contrasts(excess, seed=seed, clusters=clusters, identical=False), family="novel phrases by α"
        )
        return found + [
            as_measurement(one, "behaviour.amplification.novel_excess", scope=Scope(subset=arm))
            for arm, one in tested.items()
        ]

    def _novel_share(self, texts: Sequence[Sequence[str]], known: set[tuple[str, ...]]) -> Floats:
        """(openings,) share of the texts with a new phrase that comes back."""
        new = [
            [{phrase for phrase in grams(text, prefix.text) if len(phrase) > 1 and phrase not in known} for text in own]
            for prefix, own in zip(self._prefixes, texts, strict=True)
        ]
        after: dict[tuple[str, ...], int] = {}
        for own in new:
            for phrase in set().union(*own):
                after[phrase] = after.get(phrase, 0) + 1
        back = {phrase for phrase, count in after.items() if count >= self._options.fewest}
        return np.array([np.mean([bool(phrases & back) for phrases in own]) for own in new])

    def _brought_out(self, held: Held) -> list[Measurement]:
        """Phrases chosen on one half of the openings and counted on the other, both ways round."""
        units = self._units
        order = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
        halves = np.array([order[unit] % 2 for unit in units])
        shares = {arm: np.zeros(len(units)) for arm in self._written}
        fewest = max(2, self._options.fewest // 2 + 1)
        for half in (0, 1):
            there = np.flatnonzero(halves != half)
            chosen = leading(held, "amplified", (BASE_ARM, CONTROL_ARM), there, most=_LEADING, fewest=fewest)
            phrases = {held.phrases[number] for number in chosen}
            for arm, written in self._written.items():
                for row in np.flatnonzero(halves == half):
                    hits = [bool(phrases & grams(one.text, self._prefixes[row].text).keys()) for one in written[row]]
                    shares[arm][row] = np.mean(hits)
        metric, seed = "behaviour.amplification.brought_out", child_seed(self._seed, "brought_out")
        arms = [arm for arm in shares if arm != BASE_ARM]
        contrasts = paired_rate_contrasts(
            dict.fromkeys(arms, shares[BASE_ARM]),
            {arm: shares[arm] for arm in arms},
            seed=seed,
            clusters=dict.fromkeys(arms, units),
        )
        tested = adjust(contrasts, family="phrases brought out")
        sides = {arm: rate(own, seed=seed, clusters=units) for arm, own in shares.items()}
        found = [as_measurement(sides[BASE_ARM], metric, subjects=("base",))]
        found += [as_measurement(sides[arm], metric, subjects=("trained",), scope=Scope(subset=arm)) for arm in arms]
        return found + [as_measurement(tested[arm], metric, scope=Scope(subset=arm)) for arm in arms]

    def _count(self, held: Held, p: Floats) -> Measurement:
        count = len(set(self._units))
        best = outermost(held, [number for number in np.argsort(p, kind="stable") if p[number] <= self._options.level])
        remark = None
        if best:
            named = ", ".join(self._text(held, number) for number in best[:_NAMED])
            remark = f"{named}{' …' if len(best) > _NAMED else ''}"
        elif count < _FEW:
            remark = f"{count} openings are too few to single out any but the most frequent phrases"
        found = measure("behaviour.amplification.phrases", float(len(best)), n=count, reason=remark)
        smallest = float(p.min(initial=1.0))
        test = Test(name="sign_flip_max_t", p_value=smallest, p_adjusted=smallest, correction="max_t", family="phrases")
        return attrs.evolve(found, test=test)

    def _text(self, held: Held, number: int) -> str:
        spelt = held.spelt[held.phrases[number]]
        return spelt if self._excerpts else withhold(spelt)

    def _artifact(self, held: Held, p: Floats) -> ArtifactPayload:
        return record(
            options=self._options,
            arms={arm.name: arm.alpha for arm in self.arms()},
            prefixes=self._prefixes,
            written=self._written,
            held=held,
            p_values=p,
            excerpts=self._excerpts,
        )


def _name(alpha: float) -> str:
    return f"alpha={alpha:g}"


def _nothing(options: AmplificationOptions, n: int) -> tuple[Measurement, ...]:
    """Equal models write equal texts under any amplification; nothing had to be written to know it."""
    zero = Interval(low=0.0, high=0.0, level=0.95, method="identical")
    same = Test(name="sign_flip", p_value=1.0)
    arms = [TRAINED_ARM, *(_name(alpha) for alpha in sorted(options.alphas))]
    found = [
        attrs.evolve(
            measure(f"behaviour.amplification.{metric}", 0.0, scope=Scope(subset=arm), n=n, reason="no weight differs"),
            interval=zero,
            test=same,
        )
        for metric in ("log_ratio", "brought_out")
        for arm in arms
    ]
    count = measure("behaviour.amplification.phrases", 0.0, n=n, reason="no weight differs")
    return (*found, attrs.evolve(count, test=attrs.evolve(same, name="sign_flip_max_t")))
