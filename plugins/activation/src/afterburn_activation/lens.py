"""The activation difference lens: what the mean difference on unrelated texts says, in tokens and in deeds.

Analyzer `activation.lens`. The forward pass gives the mean differences (`lens_means`); the live pair reads them out
(`lens_readout`), patches them into prompts that repeat words (`lens_patch`), steers with them (`lens_steer`) and takes
them out (`lens_causal`). Each is held against random directions of equal length; no judge is asked. (Narrow Finetuning
Leaves Clearly Readable Traces in Activation Differences, arXiv 2510.13900.)

Artifact `activation.lens` (JSON): `layers`, the number of blocks; `bar`, what a z has to exceed; `readouts`, one entry
per `site`, `place` and `sign` (`added`, `removed`) with `peak`, `p`, `split_half`, `relative_norm`, and `tokens`, each
`token`, `text`, `log_prob`, `z`, `above_chance`, and `control` where the mean of the base reads out as it too;
`controls`, per site the tokens of both means and of two random directions; `patchscope`, per place `scale`,
`advantage`, `tokens` with `prompts`, and `curve`, agreement by strength of the direction and of random ones;
`steering`: `strength`, `coherent`, `nll` and `repetition` by strength, `texts`; `causal`: `effect`, `controls`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from afterburn_activation.lens_causal import causal_effect
from afterburn_activation.lens_means import ALL, FIRST, POOLED, MeanDifference, MeanDifferences
from afterburn_activation.lens_options import LensOptions
from afterburn_activation.lens_patch import patch, usable_prompts
from afterburn_activation.lens_readout import Chance, Readout, chance, random_directions, read_out, spelled
from afterburn_activation.lens_steer import Steered, steer
from afterburn_activation.sites import block_at, block_of, scope_of
from afterburn_core.forward.live import Live
from afterburn_core.forward.model import ForwardBatch, LogitChunk
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.excerpts import withhold
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Measurement, Test
from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.contrast import Contrast, as_measurement
from afterburn_core.stats.controls import standing
from afterburn_core.stats.multiplicity import adjust

Floats = NDArray[np.float64]
METRICS = (
    "activation.lens.peak",
    "activation.patchscope.advantage",
    "activation.steering.strength",
    "activation.steering.token_gain",
    "activation.lens.causal_effect",
)
FAMILY = "activation.lens"
SIGNS = {"added": 1.0, "removed": -1.0}
NOTHING = "no token of a plain text was read"
UNASKED = "the models were not asked"
EQUAL = "both sides are equal: there is nothing to read"


@attrs.define
class _Asked:
    """What the live pair answered."""

    measurements: list[Measurement] = attrs.field(factory=list)
    content: dict[str, Any] = attrs.field(factory=dict)


class Lens:
    """Analyzer `activation.lens`."""

    def __init__(self, options: LensOptions) -> None:
        self._options = options
        self._means = MeanDifferences((*options.depths, options.depth), options.positions)
        self._asked: _Asked | None = None

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed, and whether texts may be kept."""
        self._seed, self._excerpts = context.seed, context.excerpts

    def observe(self, item: ForwardBatch | LogitChunk | Live) -> None:
        """Adds a batch; asks the live pair, which comes last."""
        if isinstance(item, ForwardBatch):
            self._means.observe(item)
        elif not isinstance(item, LogitChunk):
            self._asked = self._ask(item)

    def merge(self, other: Lens) -> None:
        """Takes in another instance's sums and answers."""
        self._means.merge(other._means)
        self._asked = self._asked or other._asked

    def finish(self) -> AnalyzerOutput:
        """What was read."""
        if self._asked is None:
            reason = UNASKED if self._means.sites else NOTHING
            return AnalyzerOutput(measurements=tuple(undefined(metric, reason, n=0) for metric in METRICS))
        artifact = ArtifactPayload(
            id="activation.lens",
            suffix=".json",
            media_type="application/json",
            summary="Tokens that the mean difference reads out as, patched, steered with and taken out",
            content=json.dumps(self._asked.content, ensure_ascii=False, sort_keys=True).encode(),
        )
        return AnalyzerOutput(measurements=tuple(self._asked.measurements), artifacts=(artifact,))

    def _ask(self, live: Live) -> _Asked | None:
        found = {(site, one.place): one for site in self._means.sites for one in self._means.at(site)}
        if not found:
            return None
        if not any(one.squares.any() for one in found.values()):
            n = max(one.texts for one in found.values())
            return _Asked(measurements=[undefined(metric, EQUAL, n=n) for metric in METRICS])
        options, asked = self._options, _Asked(content={"layers": live.layers})
        scale = float(np.mean([one.trained_norm for one in found.values()]))
        by_chance = chance(live, options.directions, scale, seed=self._seed)
        listed = self._read(live, found, by_chance, scale, asked)
        site = f"blocks.{block_at(options.depth, live.layers)}.out"
        here = {place: one for (at, place), one in found.items() if at == site and one.norm > 0}
        if FIRST in here:
            self._patch(live, site, here, asked)
            self._steer(live, site, here, listed.get((site, FIRST), ()), asked)
            self._cause(live, site, here, asked)
        else:
            asked.measurements += [undefined(m, f"no difference at {site}", n=0) for m in METRICS[1:]]
        return asked

    def _read(
        self,
        live: Live,
        found: Mapping[tuple[str, str], MeanDifference],
        by_chance: Chance,
        scale: float,
        asked: _Asked,
    ) -> Mapping[tuple[str, str], Sequence[int]]:
        """Logit lens of ±δ̄ everywhere; the tokens of +δ̄ by site and place."""
        keys = [(site, place, sign) for (site, place), one in found.items() if one.norm > 0 for sign in SIGNS]
        states = np.stack([SIGNS[s] * _unit(found[site, place].mean) * scale for site, place, s in keys])
        readouts = dict(zip(keys, read_out(live, states, by_chance, tokens=self._options.tokens), strict=True))
        controls = self._controls(live, found, by_chance, scale)
        contrasts: dict[tuple[str, str, str], Contrast] = {}
        nulls = {}
        for key, one in readouts.items():
            place = standing(one.peak, by_chance.peaks.tolist(), control="random_direction")
            nulls[key] = place.null
            test = None if place.null is None else Test(name="random_direction", p_value=place.null.p_value)
            told = f"{live.spelling(one.peak_token)!r} stands out most"
            contrasts[key] = Contrast(n=found[key[:2]].texts, estimate=one.peak, test=test, reason=told)
        contrasts = _corrected(contrasts, live.layers)
        entries = []
        for key, one in readouts.items():
            site, where, sign = key
            scope = scope_of(site, f"{where}, {sign}")
            measured = as_measurement(contrasts[key], METRICS[0], scope=scope)
            asked.measurements.append(attrs.evolve(measured, null=nulls[key]))
            entries.append(self._entry(live, key, one, found[site, where], contrasts[key], by_chance, controls[site]))
        asked.content |= {
            "bar": by_chance.bar,
            "readouts": entries,
            "controls": {
                site: {name: spelled(live, one, by_chance.bar)[:10] for name, one in of_site.items()}
                for site, of_site in controls.items()
            },
        }
        return {key[:2]: one.tokens for key, one in readouts.items() if key[2] == "added"}

    def _controls(
        self, live: Live, found: Mapping[tuple[str, str], MeanDifference], by_chance: Chance, scale: float
    ) -> dict[str, dict[str, Readout]]:
        """By site, what the means of both sides and two random directions read out as."""
        result: dict[str, dict[str, Readout]] = {}
        random = random_directions(2, live.width, seed=self._seed, name="lens/shown")
        for site in dict.fromkeys(site for site, _ in found):
            one = found.get((site, FIRST)) or next(m for (at, _), m in found.items() if at == site)
            rows = {"base mean": one.base, "trained mean": one.trained, "random 1": random[0], "random 2": random[1]}
            states = np.stack([_unit(row) * scale for row in rows.values()])
            found_here = read_out(live, states, by_chance, tokens=self._options.tokens)
            result[site] = dict(zip(rows, found_here, strict=True))
        return result

    @staticmethod
    def _entry(
        live: Live,
        key: tuple[str, str, str],
        readout: Readout,
        mean: MeanDifference,
        contrast: Contrast,
        by_chance: Chance,
        controls: Mapping[str, Readout],
    ) -> dict[str, Any]:
        test, halves = contrast.test, mean.split_half()
        return {
            "site": key[0],
            "place": key[1],
            "sign": key[2],
            "peak": readout.peak,
            "peak_token": live.spelling(readout.peak_token),
            "p": None if test is None else test.p_value,
            "p_adjusted": None if test is None else test.p_adjusted,
            "split_half": halves if np.isfinite(halves) else None,
            "relative_norm": mean.relative_without_noise,
            "tokens": spelled(live, readout, by_chance.bar, controls["base mean"].tokens),
        }

    def _random(self, live: Live, count: int, name: str) -> Floats:
        return random_directions(count, live.width, seed=self._seed, name=f"lens/{name}")

    def _patch(self, live: Live, site: str, here: Mapping[str, MeanDifference], asked: _Asked) -> None:
        metric, options = METRICS[1], self._options
        prompts = usable_prompts(live)
        if len(prompts) < 2:
            asked.measurements.append(undefined(metric, "the tokenizer has no placeholder of its own", n=len(prompts)))
            return
        directions = np.concatenate(
            [
                np.stack([_unit(one.mean) for one in here.values()]),
                self._random(live, options.patch_directions, "patch"),
            ]
        )
        k = min(options.tokens, live.vocabulary)
        patched = patch(
            live,
            prompts,
            site,
            directions,
            named=len(here),
            norm=here[FIRST].trained_norm,
            scales=options.patch_scales,
            k=k,
        )
        agreement = patched.agreement()
        null = [patched.said(i, agreement).advantage for i in range(len(here), len(directions))]
        entries = {}
        for i, place in enumerate(here):
            said = patched.said(i, agreement)
            stands = standing(said.advantage, null, control="random_direction")
            test = None if stands.null is None else Test(name="random_direction", p_value=stands.null.p_value)
            shown = ", ".join(repr(live.spelling(token)) for token in said.tokens[:5]) or "no token in common"
            contrast = Contrast(
                n=len(prompts), estimate=said.advantage, test=test, reason=f"at strength {said.scale:g}: {shown}"
            )
            measured = as_measurement(contrast, metric, scope=scope_of(site, place))
            asked.measurements.append(attrs.evolve(measured, null=stands.null))
            entries[place] = {
                "scale": said.scale,
                "advantage": said.advantage,
                "tokens": [
                    {"token": token, "text": live.spelling(token), "prompts": count}
                    for token, count in zip(said.tokens, said.prompts, strict=True)
                ],
                "curve": [
                    {"scale": scale, "agreement": float(a), "random": float(r)}
                    for scale, a, r in zip(
                        patched.scales, agreement[i], agreement[len(here) :].mean(axis=0), strict=True
                    )
                ],
            }
        asked.content["patchscope"] = {"site": site, "prompts": len(prompts), "places": entries}

    def _steer(
        self, live: Live, site: str, here: Mapping[str, MeanDifference], listed: Sequence[int], asked: _Asked
    ) -> None:
        options, one = self._options, here.get(ALL) or here[FIRST]
        found = steer(
            live,
            site,
            _unit(one.mean),
            self._random(live, options.steer_directions, "steer"),
            norm=one.trained_norm,
            strengths=options.strengths,
            tokens=options.steer_tokens,
            listed=listed,
            seed=child_seed(self._seed, "steer"),
        )
        told = _coherence(found)
        scope = scope_of(site)
        asked.measurements += [
            measure(METRICS[2], found.strength, scope=scope, n=len(found.texts), reason=told),
            as_measurement(found.contrast, METRICS[3], scope=scope),
        ]
        texts = [
            {name: text if self._excerpts or name == "prompt" else withhold(str(text)) for name, text in row.items()}
            for row in found.texts
        ]
        asked.content["steering"] = {
            "site": site,
            "strength": found.strength,
            "coherent": found.coherent,
            "nll": {f"{a:g}": value for a, value in found.nll.items()},
            "repetition": {f"{a:g}": value for a, value in found.repetition.items()},
            "texts": texts,
        }

    def _cause(self, live: Live, site: str, here: Mapping[str, MeanDifference], asked: _Asked) -> None:
        options, one = self._options, here.get(ALL) or here[FIRST]
        effect = causal_effect(
            live,
            site,
            _unit(one.mean),
            one.base,
            self._random(live, options.causal_directions, "causal"),
            passages=options.causal_passages,
            tokens=options.causal_tokens,
            seed=child_seed(self._seed, "causal"),
        )
        scope = scope_of(site)
        if effect is None:
            asked.measurements.append(undefined(METRICS[4], "no text was kept to be read again", scope=scope, n=0))
            return
        measured = as_measurement(effect.contrast, METRICS[4], scope=scope)
        asked.measurements.append(attrs.evolve(measured, null=effect.null))
        asked.content["causal"] = {
            "site": site,
            "effect": effect.contrast.estimate,
            "controls": list(effect.controls),
        }


def _corrected(contrasts: Mapping[tuple[str, str, str], Contrast], layers: int) -> dict[tuple[str, str, str], Contrast]:
    """The readouts with their p values corrected, in three families.

    Pooled places of blocks before the last decide. Single tokens repeat them with more noise. At the last block a mean
    difference is the mean change of the logits itself, which any training leaves that changes what is written.
    """
    families: dict[str, dict[tuple[str, str, str], Contrast]] = {}
    inner = any(block_of(site) != layers - 1 for site, _, _ in contrasts)
    for key, one in contrasts.items():
        last = inner and block_of(key[0]) == layers - 1
        name = FAMILY + (".tokens" if key[1] not in POOLED else ".last" if last else "")
        families.setdefault(name, {})[key] = one
    corrected: dict[tuple[str, str, str], Contrast] = {}
    for name, own in families.items():
        corrected |= adjust(own, family=name, method="bh")
    return {key: corrected[key] for key in contrasts}


def _unit(row: Floats) -> Floats:
    length = float(np.linalg.norm(row))
    return row / length if length > 0 else row


def _coherence(found: Steered) -> str:
    at, plain = found.nll[found.strength], found.nll[0.0]
    limit = "coherent" if found.coherent else "no strength is coherent, the least was taken"
    return f"{limit}: {at:.2f} nats per token under the base, {plain:.2f} unsteered"
