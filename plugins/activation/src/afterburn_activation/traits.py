"""Analyzer `activation.traits`: whether prompts are met further along trait directions. Formulas: `directions`.

Directions come from the base's answers of the set `activation.traits`, or from a file of the user's. The shift is taken
at the last token of the run's prompts (a bounded sample of them, `kept`) and of the set's own questions, where a causal
model has not seen the answer yet. The layer of a trait is chosen on the base alone: the highest held-out AUROC, of
these the largest separation; a user's directions are used at the layers they name. p values are those of the random
directions, corrected over all traits and layers that are tested (BH).

Artifacts: `activation.trait_directions` (safetensors): `trait.<name>.blocks.{i}.out` (d) float32, all layers, not
normalised; a file like it is what the option `directions` takes. `activation.trait_shifts` (JSON): `sites`, `prompts`,
by trait `site`, `given` and lists over sites `auroc`, `separation`, `shift`, `low`, `high`, `random95` (95 % of random
directions stay within ± this), `controls`; and `cosines` between directions of two traits, at the site of the first.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from afterburn_activation.direction_files import Given, read_directions, write_directions
from afterburn_activation.kept import Kept, affordable
from afterburn_activation.options import TraitsOptions
from afterburn_activation.places import means_by_passage
from afterburn_activation.sites import block_of, in_order
from afterburn_activation.specs.traits import METRICS
from afterburn_activation.trait_numbers import Answers, Shifts, Tables, measured, stored
from afterburn_activation.trait_texts import SIDES, TRAITS
from afterburn_core.errors import ConfigError
from afterburn_core.forward.model import END, ForwardBatch
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput, ArtifactPayload
from afterburn_core.result.identity import undefined
from afterburn_core.run.seeds import child_seed

Array = np.ndarray


class Traits:
    """Analyzer `activation.traits`."""

    def __init__(self, options: TraitsOptions) -> None:
        self._options = options
        self._sites: tuple[str, ...] = ()
        self._answers: dict[tuple[str, str, str], Array] = {}  # (trait, pair, side): (S, d) float32
        self._questions: dict[str, tuple[str, Mapping[str, Array]]] = {}  # pair: unit, δ (S·d) by subject
        self._prompts: Kept | None = None
        self._given: Given | None = None

    def begin(self, context: AnalyzerContext) -> None:
        """Learns the seed, and reads the user's directions.

        Raises:
            ConfigError: as `direction_files.read_directions`.
        """
        self._seed = context.seed
        if self._options.directions:
            self._given = read_directions(self._options.directions, taken=frozenset(TRAITS))

    def observe(self, item: object) -> None:
        """Takes in one batch."""
        if not isinstance(item, ForwardBatch):
            return
        if not self._sites:
            self._sites = tuple(site for site in in_order(item.base.sites) if block_of(site) is not None)
            widths = {int(item.base.sites[site].shape[1]) for site in self._sites}
            if len(widths) != 1:
                self._sites = ()
                return
            self._check(widths.pop())
        if item.rows.passages[0].source == "prompt":
            self._observe_prompts(item)
        else:
            self._observe_answers(item)

    def merge(self, other: Traits) -> None:
        """Takes in the passages that another instance observed."""
        self._sites = self._sites or other._sites
        self._answers.update(other._answers)
        self._questions.update(other._questions)
        if self._prompts is None:
            self._prompts = other._prompts
        elif other._prompts is not None:
            self._prompts.merge(other._prompts)

    def finish(self) -> AnalyzerOutput:
        """Directions, then shifts along them."""
        answers = Answers.of(self._answers, self._sites)
        shifts = self._shifts()
        if not self._sites or shifts is None or not (answers.traits or self._given):
            why = "no prompt was read" if shifts is None else "no answers that show a trait were read"
            return AnalyzerOutput(measurements=tuple(undefined(metric.id, why, n=0) for metric in METRICS))
        tables = Tables.of(
            answers,
            shifts,
            given=self._given,
            randoms=self._options.randoms,
            seed=child_seed(self._seed, "randoms"),
        )
        return AnalyzerOutput(
            measurements=tuple(measured(tables, seed=self._seed)),
            artifacts=(
                ArtifactPayload(
                    id="activation.trait_directions",
                    suffix=".safetensors",
                    media_type="application/octet-stream",
                    summary="Directions of traits in the base's activations, by trait and layer",
                    content=write_directions(tables.directions),
                ),
                ArtifactPayload(
                    id="activation.trait_shifts",
                    suffix=".json",
                    media_type="application/json",
                    summary="Shifts along trait directions by layer, with random directions and controls beside them",
                    content=stored(tables),
                ),
            ),
        )

    def _check(self, width: int) -> None:
        for trait, by_site in {} if self._given is None else self._given.traits.items():
            for site, vector in by_site.items():
                if site not in self._sites:
                    raise ConfigError(f"direction trait.{trait}.{site}: the model has {len(self._sites)} blocks")
                if len(vector) != width:
                    raise ConfigError(
                        f"direction trait.{trait}.{site} has {len(vector)} numbers, the model's activations {width}"
                    )

    def _observe_prompts(self, item: ForwardBatch) -> None:
        last = (item.rows.offset == -1).nonzero()[:, 0]
        owners = item.rows.passage[last].tolist()
        if self._prompts is None:
            numbers = (1 + len(item.controls)) * sum(int(item.base.sites[site].shape[1]) for site in self._sites)
            self._prompts = Kept(key=f"traits/{self._seed}", most=affordable(self._options.prompts, numbers))
        passages = [item.rows.passages[i] for i in owners]
        keeps = self._prompts.wanted([one.id for one in passages])
        shifts = self._at(item, last[torch.tensor(keeps, dtype=torch.int64, device=last.device)])
        for row, i in enumerate(keeps):
            own = {subject: values[row] for subject, values in shifts.items()}
            self._prompts.add(passages[i].id, passages[i].unit, own)

    def _observe_answers(self, item: ForwardBatch) -> None:
        rows = item.rows
        properties = [{} if one.probe is None else dict(one.probe.properties) for one in rows.passages]
        counted = (rows.in_text & (rows.token_class != END) & (rows.position > 0)).nonzero()[:, 0]
        owner = rows.passage[counted]
        means = torch.stack(
            [means_by_passage(item.base.sites[site][counted], owner, len(rows.passages)) for site in self._sites], dim=1
        )
        answers = means.float().cpu().numpy()  # (P, S, d)
        last = (rows.offset == -1).nonzero()[:, 0]
        shifts = self._at(item, last)
        question = {int(passage): row for row, passage in enumerate(rows.passage[last].tolist())}
        for i, (passage, known) in enumerate(zip(rows.passages, properties, strict=True)):
            if known.get("trait") not in TRAITS or known.get("side") not in SIDES:
                continue
            if np.isfinite(answers[i]).all():
                self._answers[known["trait"], known["pair"], known["side"]] = answers[i]
            if known["side"] == SIDES[0] and i in question:  # the question reads the same before either answer
                own = {subject: values[question[i]] for subject, values in shifts.items()}
                self._questions[known["pair"]] = (passage.unit, own)

    def _at(self, item: ForwardBatch, rows: torch.Tensor) -> dict[str, Array]:
        """δ of every subject at some rows, (r, S·d) float32."""
        return {
            subject: torch.cat([item.geometry(site, subject).delta[rows] for site in self._sites], dim=1).cpu().numpy()
            for subject in ("trained", *item.controls)
        }

    def _shifts(self) -> Shifts | None:
        """δ at the last token of all prompts, sorted by name; those that are not finite are left out."""
        found = {
            f"question/{name}": (unit, own)
            for name, (unit, own) in self._questions.items()
            if np.isfinite(own["trained"]).all()
        }
        if self._prompts is not None:
            found |= {
                f"prompt/{name}": (self._prompts.unit(name), self._prompts.vectors(name))
                for name in self._prompts.names("trained")
            }
        names = sorted(found)
        if not names:
            return None
        subjects = sorted(set.intersection(*(set(found[name][1]) for name in names)))
        arrays = {
            subject: np.stack([found[name][1][subject] for name in names]).reshape(len(names), len(self._sites), -1)
            for subject in subjects
        }
        return Shifts(units=tuple(found[name][0] for name in names), of=arrays)
