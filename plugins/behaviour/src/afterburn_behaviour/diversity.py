"""How varied a side's answers are: among a prompt's own samples, and from prompt to prompt.

Formulas: `afterburn_behaviour.within` (one value per prompt, contrasted in pairs), `afterburn_behaviour.across` (one
value per side, contrasted by swapping the sides within prompts). Everything is counted over a fixed budget of words,
because every count of n-grams grows with length. A side's own value depends on that side alone; a contrast gives both
sides the same number of samples, words and n-grams of each prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np

from afterburn_behaviour import across, within
from afterburn_behaviour.diversity_examples import Answered, Texts, changed, opened
from afterburn_behaviour.examples import Pair, artifact
from afterburn_behaviour.meaning import meanings
from afterburn_behaviour.specs.variety import DECISIVE, DIVERSITY, FAMILY
from afterburn_behaviour.units import SIDES, clusters
from afterburn_behaviour.variety_options import DiversityOptions
from afterburn_core.generation.model import Responses
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.probes.model import Probe
from afterburn_core.result.model import Measurement
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import Contrast, as_measurement, undefined
from afterburn_core.stats.multiplicity import adjust
from afterburn_core.stats.paired import means, paired_contrasts, paired_rate_contrasts, rate
from afterburn_core.stats.unit_swap import Corpus, Floats, Units, mean_over_pairs, swaps

PREFIX = "behaviour.diversity."
ONE_SAMPLE = "needs at least 2 samples of a prompt on both sides"
_RATES = ("duplicates", "loops")
_SHORT = "no text is long enough"
_FEW = "needs at least 2 prompts that both sides answered"


class Diversity:
    """Analyzer `behaviour.diversity`."""

    def __init__(self, options: DiversityOptions) -> None:
        self._options = options
        self._prompts: dict[str, Responses] = {}
        self._loops: dict[str, bool] = {}
        self._seed = 0
        self._excerpts = True
        self._device = "cpu"

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed, and whether texts may be kept."""
        self._seed, self._excerpts = context.seed, context.excerpts
        # where no pass of the run needs a device, it has none
        self._device = "cpu" if context.device == "none" else context.device

    def observe(self, item: Responses) -> None:
        """Keeps the texts of the prompt."""
        self._prompts[item.probe.id] = item

    def merge(self, other: Diversity) -> None:
        """Takes in prompts that another instance observed."""
        self._prompts.update(other._prompts)

    def finish(self) -> AnalyzerOutput:
        """Each side's values, then the contrasts."""
        items = [self._prompts[name] for name in sorted(self._prompts)]
        answered = Answered.of([item for item in items if item.paired])
        lost = sum(bool(item.base) != bool(item.trained) for item in items)
        per_prompt, pairs = self._per_prompt(answered)
        probes = [item.probe for item in answered.items]
        corpus = self._across(probes, *answered.equally_many(), self._options.permutations) if probes else {}
        semantic, reason = meanings(answered.items, self._options, seed=self._seed, device=self._device)
        contrasts = per_prompt | {name: found.contrast for name, found in {**corpus, **semantic.across}.items()}
        contrasts |= semantic.within
        absent = self._absent(answered, reason)
        for metric in DIVERSITY:
            name = metric.id.removeprefix(PREFIX)
            contrasts.setdefault(name, undefined(absent(name), len(answered.items)))
        decisive = {name: c for name, c in contrasts.items() if PREFIX + name in DECISIVE}
        others = {name: c for name, c in contrasts.items() if name not in decisive}
        # few questions decide, so that the many descriptions beside them cost no power
        done = adjust(decisive, family=FAMILY) | adjust(others, family=f"{FAMILY}.detail")
        note = f"left out: {lost} prompts that one side alone answered" if lost else None
        measured = self._sides(items, semantic.sides, absent)
        measured += [as_measurement(_noted(done[name], note), PREFIX + name) for name in sorted(done)]
        return AnalyzerOutput(
            measurements=tuple(measured), artifacts=artifact("diversity", pairs, excerpts=self._excerpts)
        )

    def _per_prompt(self, answered: Answered) -> tuple[dict[str, Contrast], list[Pair]]:
        """Contrasts of what has one value per prompt, and the prompts that changed most."""
        if not answered.items:
            return {}, []
        base, trained = answered.equally_many()
        values = [dict[str, Floats](), dict[str, Floats]()]
        several = [len(samples) > 1 for samples in base]
        for n, sides in within.distinct((base, trained), self._options.words).items():
            for side, value in zip(values, sides):
                side[f"distinct_{n}"] = np.where(several, value, np.nan)
        for side, texts in zip(values, (base, trained)):
            side.update(within.similarity(texts, self._options.words))
            side["loops"] = self._looping(texts)
        for side, value in zip(values, within.compression((base, trained))):
            side["compression"] = value
        differences = {name: values[1][name] - values[0][name] for name in values[0]}
        of = clusters([item.probe for item in answered.items])
        grouped = None if of is None else dict.fromkeys(differences, of)
        seed = child_seed(self._seed, "per_prompt")
        found = paired_contrasts(
            {name: d for name, d in differences.items() if name not in _RATES},
            clusters=grouped,
            seed=seed,
            identical=answered.identical,
        ) | paired_rate_contrasts(
            *({name: side[name] for name in _RATES} for side in values),
            clusters=grouped,
            seed=seed,
            identical=answered.identical,
        )
        found = {name: contrast for name, contrast in found.items() if contrast.estimate is not None}
        return found, [
            *changed(answered, differences, self._options.examples),
            *opened(answered, self._options.examples),
        ]

    def _looping(self, texts: Texts) -> Floats:
        """Share of each prompt's texts that are caught in a loop."""
        for text in {text for samples in texts for text in samples} - self._loops.keys():
            self._loops[text] = within.loops(text)
        return np.array([np.mean([self._loops[text] for text in samples]) for samples in texts])

    def _across(self, probes: Sequence[Probe], base: Texts, trained: Texts, draws: int) -> dict[str, Corpus]:
        """What has one value per side."""
        units = Units.of([probe.unit for probe in probes])
        if units.count < 2:
            return {}
        options, same = self._options, base == trained
        epsilon = swaps(units.count, draws, child_seed(self._seed, "across"))
        found = across.openings(base, trained, units, epsilon, identical=same)
        first_b, first_t = ([samples[0] for samples in side] for side in (base, trained))
        of_n = across.distinct(first_b, first_t, units, epsilon, budget=options.words, identical=same)
        found |= {f"across.distinct_{n}": corpus for n, corpus in of_n.items()}
        chosen = subset([probe.id for probe in probes], options.prompts)
        few = Units.of([probes[i].unit for i in chosen])
        if few.count < 2:
            return found
        swapped = swaps(few.count, draws, child_seed(self._seed, "pairs"))
        alike = across.kernel([first_b[i] for i in chosen], [first_t[i] for i in chosen], options.words)
        found["across.self_similarity"] = mean_over_pairs(alike, few, swapped, identical=same)
        found["across.vendi"] = across.vendi(alike, few, swapped, identical=same)
        return found

    def _sides(
        self,
        items: Sequence[Responses],
        semantic: Mapping[str, tuple[Contrast, Contrast]],
        absent: Callable[[str], str],
    ) -> list[Measurement]:
        """Each side's own values, from its own texts alone."""
        found: list[Measurement] = []
        for number, side in enumerate(SIDES):
            own = [item for item in items if (item.base, item.trained)[number]]
            texts = [[s.text for s in (item.base, item.trained)[number]] for item in own]
            probes = [item.probe for item in own]
            estimates = self._one_side(probes, texts, side)
            estimates |= {name: of.own for name, of in self._across(probes, texts, texts, 0).items()}
            estimates |= {name: pair[number] for name, pair in semantic.items()}
            for metric in DIVERSITY:
                name = metric.id.removeprefix(PREFIX)
                estimate = estimates.get(name) or undefined(absent(name), len(own))
                found.append(as_measurement(estimate, metric.id, subjects=(side,)))
        return found

    def _one_side(self, probes: Sequence[Probe], texts: Texts, side: str) -> dict[str, Contrast]:
        if not texts:
            return {}
        several = np.array([len(samples) > 1 for samples in texts])
        values = {
            f"distinct_{n}": np.where(several, found[0], np.nan)
            for n, found in within.distinct((texts,), self._options.words).items()
        }
        values |= within.similarity(texts, self._options.words)
        values["loops"] = self._looping(texts)
        values["compression"] = within.compression((texts,))[0]
        of, seed = clusters(probes), child_seed(self._seed, f"one_side/{side}")
        grouped = None if of is None else dict.fromkeys(values, of)
        estimates = means({name: v for name, v in values.items() if name not in _RATES}, clusters=grouped, seed=seed)
        estimates |= {name: rate(values[name], clusters=of, seed=seed) for name in _RATES}
        return {name: contrast for name, contrast in estimates.items() if contrast.estimate is not None}

    def _absent(self, answered: Answered, no_encoder: str | None) -> Callable[[str], str]:
        """Why a quantity has no value."""
        several = any(min(len(b), len(t)) > 1 for b, t in zip(answered.base, answered.trained))

        def why(name: str) -> str:
            if name.endswith("meaning") and no_encoder is not None:
                return no_encoder
            if not answered.items:
                return "no prompt was answered by both sides"
            over_prompts = name.startswith(("across.", "template_", "prefix_"))
            if over_prompts:
                return _FEW if len(answered.items) < 2 else _SHORT
            return ONE_SAMPLE if not several and name not in ("loops", "compression") else _SHORT

        return why


def subset(names: Sequence[str], most: int) -> list[int]:
    """Positions of at most so many names, chosen by their digests and so by neither side."""
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(names[i].encode()).digest())
    return sorted(order[:most])


def _noted(contrast: Contrast, note: str | None) -> Contrast:
    notes = [text for text in (contrast.reason, note) if text]
    return attrs.evolve(contrast, reason="; ".join(notes) or None)
