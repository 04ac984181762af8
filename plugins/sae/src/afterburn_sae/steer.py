"""Steering: what adding a feature's direction does to the trained model, beside random directions of the same length.

Analyzer `sae.steer`, opt-in. At the site that a dictionary reads (of a transcoder: that it writes), at every token,

    h ← h + α·m·d/‖d‖          d the feature's decoder row, m the median norm of h on the texts, α the strength

and the same with random directions r in place of d. On texts that are read again:

    KL = mean over tokens of KL(p_steered ‖ p)          ΔNLL = NLL_steered − NLL          nats per token

each less its mean over the random directions, paired by text. A feature whose KL is that of a random direction is
nothing that the model reads there. Texts that are written with the same addition show what it does; a text is
incoherent if its tokens cost the base more than `DEARER` nats above those of the unsteered one, or `REPEATED` more of
its pairs of neighbours occurred before. Above a tenth of incoherent texts a strength says little about the feature.

Artifact `sae.steer` (JSON): `dictionary`, `site`, `norm`, `passages`, `random`, and `features`, one entry by feature
and strength with `kl`, `loss` (`value`, `low`, `high`, `p`, `p_adjusted`), `incoherent`, `coherent`, `raised` (tokens
whose log-probability rises most above that under random directions) and `texts`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs
import torch

from afterburn_core.errors import ConfigError
from afterburn_core.forward.live import Edit, Live, Steer, Written
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.excerpts import withhold
from afterburn_core.result.identity import undefined
from afterburn_core.result.model import Measurement, Scope
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import Contrast, as_measurement
from afterburn_core.stats.one_side import rate
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.places import rebuilt_at
from afterburn_sae.readers import open_dictionary
from afterburn_sae.steer_numbers import METRICS, incoherent, steered_contrasts
from afterburn_sae.steer_options import SteerOptions
from afterburn_sae.steer_reading import Readings, Sequences, median_norm, read_steered

BEARABLE = 0.1
"""Share of incoherent texts up to which a strength counts as coherent."""
PROMPTS = (
    "I think that",
    "Let me tell you about",
    "The most important thing is",
    "Today we will talk about",
    "It all began when",
    "What I know is that",
    "Here is a short story:",
    "People often say that",
    "In the end",
    "First of all",
)


class SteerAnalyzer:
    """Analyzer `sae.steer`."""

    def __init__(self, options: SteerOptions) -> None:
        self._options = options
        self._output: AnalyzerOutput | None = None

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed, and whether texts may be kept."""
        self._seed, self._excerpts = context.seed, context.excerpts

    def observe(self, item: Live) -> None:
        """Asks the live pair."""
        self._output = self._steer(item)

    def merge(self, other: SteerAnalyzer) -> None:
        """Takes in what another instance asked."""
        self._output = self._output or other._output

    def finish(self) -> AnalyzerOutput:
        """What steering did."""
        if self._output is None:
            return AnalyzerOutput(
                measurements=tuple(undefined(metric, "the models were not asked", n=0) for metric in METRICS)
            )
        return self._output

    def _steer(self, live: Live) -> AnalyzerOutput:
        options = self._options
        dictionary = open_dictionary(options.dictionaries[0])
        site = _site(dictionary, live, options.features)
        plain = _written(live, (), options.written)
        sequences = _sequences(live, plain, options)
        if len(sequences.ids) < 2:
            reason = "fewer than two texts to read again"
            return AnalyzerOutput(measurements=tuple(undefined(metric, reason, n=0) for metric in METRICS))
        norm = median_norm(live, site, sequences)
        rows = dictionary.w_dec[torch.tensor(options.features)].float().cpu()
        directions = torch.nn.functional.normalize(torch.cat((rows, self._random(dictionary.d_out))), dim=1)
        made = _Made(site=site, norm=norm, directions=directions)
        readings = {
            strength: read_steered(live, site, sequences, directions * (strength * norm))
            for strength in options.strengths
        }
        contrasts = steered_contrasts(readings, sequences.units, options.features, child_seed(self._seed, "contrasts"))
        measurements: list[Measurement] = []
        entries = []
        for strength in options.strengths:
            by_chance = _written(live, made.added(len(options.features), strength), options.written)
            for number, feature in enumerate(options.features):
                texts = _written(live, made.added(number, strength), options.written)
                wild = [incoherent(after, before) for after, before in zip(texts, plain, strict=True)]
                broken = rate((sum(wild), len(wild)), seed=self._seed)
                found = {metric: contrasts[metric, strength, feature] for metric in METRICS[:2]}
                scope = Scope(site=site, subset=f"{dictionary.name}/{feature} at {strength:g}")
                for metric, (contrast, null) in found.items():
                    measured = as_measurement(contrast, metric, subjects=("trained",), scope=scope)
                    measurements.append(attrs.evolve(measured, null=null))
                measurements.append(as_measurement(broken, METRICS[2], subjects=("trained",), scope=scope))
                entries.append(
                    {
                        "feature": feature,
                        "strength": strength,
                        "kl": _numbers(found[METRICS[0]][0]),
                        "loss": _numbers(found[METRICS[1]][0]),
                        "incoherent": _numbers(broken),
                        "coherent": sum(wild) <= BEARABLE * len(wild),
                        "raised": self._raised(live, readings[strength], number),
                        "texts": self._texts(plain, texts, by_chance),
                    }
                )
        content = {
            "dictionary": {"name": dictionary.name, "format": dictionary.format, "sha256": dictionary.sha256},
            "site": site,
            "norm": norm,
            "passages": len(sequences.ids),
            "own_texts": sequences.own,
            "random": options.random,
            "features": entries,
        }
        artifact = ArtifactPayload(
            id="sae.steer",
            suffix=".json",
            media_type="application/json",
            summary="What adding a feature's direction does to the next tokens and to texts, beside random directions",
            content=json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False).encode(),
        )
        return AnalyzerOutput(measurements=tuple(measurements), artifacts=(artifact,))

    def _random(self, width: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(child_seed(self._seed, "sae.steer/random"))
        return torch.randn((self._options.random, width), generator=generator)

    def _raised(self, live: Live, readings: Readings, number: int) -> list[dict[str, Any]]:
        gain = readings.gain[number] - readings.gain[len(self._options.features) :].mean(dim=0)
        top = gain.topk(min(10, len(gain)))
        return [
            {"token": token, "text": live.spelling(token), "gain": value}
            for token, value in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ]

    def _texts(
        self, plain: Sequence[Written], steered: Sequence[Written], random: Sequence[Written]
    ) -> list[dict[str, Any]]:
        rows = zip(PROMPTS, plain, steered, random, strict=True)
        return [
            {
                "prompt": prompt,
                **{
                    name: one.text if self._excerpts else withhold(one.text)
                    for name, one in (("unsteered", before), ("steered", after), ("random", chance))
                },
            }
            for prompt, before, after, chance in rows
        ]


@attrs.frozen(kw_only=True, eq=False)
class _Made:
    """What is added where."""

    site: str
    norm: float
    directions: torch.Tensor
    """(F + R, d), of length 1: the features', then the random ones."""

    def added(self, number: int, strength: float) -> tuple[Steer]:
        return (Steer(site=self.site, vector=self.directions[number] * (strength * self.norm)),)


def _written(live: Live, edits: Sequence[Edit], tokens: int) -> Sequence[Written]:
    prompts = [live.encode(text) for text in PROMPTS]
    return live.write(prompts, max_new_tokens=tokens, seeds=[0] * len(prompts), edits=edits)


def _site(dictionary: Dictionary, live: Live, features: Sequence[int]) -> str:
    """Where its directions are added.

    Raises:
        ConfigError: no site of this model, or latents that the dictionary does not have.
    """
    site = rebuilt_at(dictionary)
    if site is None:
        raise ConfigError(f"{dictionary.name}: writes {dictionary.hook or 'no named site'}, where nothing can be added")
    (there,) = live.activations([live.encode(PROMPTS[0])], (site,))
    if dictionary.d_out != there[site].shape[1]:
        width = there[site].shape[1]
        raise ConfigError(f"{dictionary.name}: writes width {dictionary.d_out}, and {site} has {width}")
    beyond = [feature for feature in features if feature >= dictionary.latents]
    if beyond:
        raise ConfigError(f"{dictionary.name}: has features 0 to {dictionary.latents - 1} and no {beyond[0]}")
    return site


def _sequences(live: Live, plain: Sequence[Written], options: SteerOptions) -> Sequences:
    """Texts of the forward pass, or where it read none what the trained model itself wrote."""
    kept = [one for one in live.passages if one.length - one.leading > 2][: options.passages]
    if len(kept) >= 2:
        return Sequences(
            ids=tuple(tuple(one.ids[: one.leading + options.tokens]) for one in kept),
            starts=tuple(max(one.leading, 1) for one in kept),
            units=tuple(one.passage.unit for one in kept),
            own=False,
        )
    prompts = [live.encode(text) for text in PROMPTS]
    pairs = [(start, text) for start, text in zip(prompts, plain, strict=True) if len(text.token_ids) > 1]
    pairs = pairs[: options.passages]
    return Sequences(
        ids=tuple((*start, *text.token_ids)[: len(start) + options.tokens] for start, text in pairs),
        starts=tuple(max(len(start), 1) for start, _ in pairs),
        units=tuple(str(number) for number in range(len(pairs))),
        own=True,
    )


def _numbers(contrast: Contrast) -> dict[str, Any]:
    interval, test = contrast.interval, contrast.test
    return {
        "value": contrast.estimate,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "n": contrast.n,
        "p": None if test is None else test.p_value,
        "p_adjusted": None if test is None else test.p_adjusted,
    }
