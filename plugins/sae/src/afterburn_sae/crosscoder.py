"""`afterburn sae crosscoder`: one dictionary over both models, and what of it is one model's alone.

Rows are both models' activations of a token beside each other, each normalised to the same size. With BatchTopK, the
two decoder rows of a latent have norm 1 together, so that a latent is chosen for how much of both it explains, whoever
has it: no model's absence is rewarded. With L1, decoder norms are free and penalised, which makes latents seem to be
one model's alone that are not; latent scaling (`scaling`) tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt
import torch

from afterburn_core.errors import SubjectError
from afterburn_core.run.seeds import child_seed
from afterburn_sae import train_checkpoint as checkpoints
from afterburn_sae.crosscoder_norms import EDGE, Side, classes, delta_norms, halves, histogram
from afterburn_sae.crosscoder_seeds import matched_share
from afterburn_sae.scaling import LatentScaling, Scaled
from afterburn_sae.train import evaluate, learned
from afterburn_sae.train_report import Fit
from afterburn_sae.train_writer import CONFIGURATION, hook_of, write_json, write_tensors

if TYPE_CHECKING:
    from afterburn_core.forward.streaming import Models
    from afterburn_sae.streaming import Division
    from afterburn_sae.train import Setting
    from afterburn_sae.train_coder import Coder, Scale
    from afterburn_sae.train_learner import Learner
    from afterburn_sae.train_recipe import Recipe

WEIGHTS, ARTIFACT = "crosscoder.safetensors", "crosscoder.json"
SCALED_PASSAGES = 4000
"""Learned-from passages that latent scaling reads at most, besides those kept back."""
MOST_LISTED = 20_000


@attrs.frozen(kw_only=True, eq=False)
class Analysis:
    """What a crosscoder says of the two models."""

    alive: npt.NDArray[np.bool_]
    deltas: npt.NDArray[np.float64]
    """Δnorm of every latent, dead ones too."""
    trained_only: list[Scaled]
    base_only: list[Scaled]

    def artifact(self, *, site: str, kind: str, fve: dict[str, Any]) -> dict[str, Any]:
        """The content of `sae.crosscoder`."""
        living = self.deltas[self.alive]
        before = classes(living)
        kept = sum(one.kept for one in self.trained_only)
        kept_base = sum(one.kept for one in self.base_only)
        return {
            "site": site,
            "kind": kind,
            "latents": len(self.deltas),
            "alive": int(self.alive.sum()),
            "norms": histogram(living),
            "classes": before,
            "kept": kept,
            "classes_after_scaling": {
                "base_only": kept_base,
                "shared": len(living) - kept_base - kept,
                "trained_only": kept,
            },
            "scaling": [self._row(one, trained_only=one.kept) for one in self.trained_only[:MOST_LISTED]],
            "scaling_base": [self._row(one, base_only=one.kept) for one in self.base_only[:MOST_LISTED]],
            "fve": fve,
        }

    def _row(self, one: Scaled, **verdict: bool) -> dict[str, Any]:
        return {
            "feature": one.feature,
            "delta_norm": float(self.deltas[one.feature]),
            "nu_reconstruction": one.nu_reconstruction,
            "nu_error": one.nu_error,
            **verdict,
        }


class Examination:
    """Latent scaling of the latents that seem to be one model's alone, row by row."""

    def __init__(self, coder: Coder, alive: npt.NDArray[np.bool_]) -> None:
        self._alive = alive
        self._deltas = delta_norms(coder.w_dec)
        device = coder.w_dec.device
        chosen = {Side.BASE: self._deltas < EDGE, Side.TRAINED: self._deltas > 1 - EDGE}
        self._scalings = {
            side: LatentScaling(coder.w_dec, torch.from_numpy(np.flatnonzero(own & alive)).to(device), side)
            for side, own in chosen.items()
        }

    @property
    def needed(self) -> bool:
        """Whether any latent seems to be one model's alone."""
        return any(scaling.count for scaling in self._scalings.values())

    def add(self, x: torch.Tensor, codes: torch.Tensor, reconstruction: torch.Tensor) -> None:
        """Takes rows: x and x̂ (t, 2d), codes (t, n)."""
        for scaling in self._scalings.values():
            scaling.add(x, codes, reconstruction)

    def finish(self) -> Analysis:
        """Latents of either side, the clearest first."""
        found = {side: scaling.finish() for side, scaling in self._scalings.items()}
        for own in found.values():
            own.sort(key=lambda one: (not one.kept, one.nu_error is None, one.nu_error or 0.0, one.feature))
        return Analysis(
            alive=self._alive,
            deltas=self._deltas,
            trained_only=found[Side.TRAINED],
            base_only=found[Side.BASE],
        )


def crosscoder(models: Models, division: Division, recipe: Recipe, setting: Setting) -> dict[str, Any]:
    """Trains a crosscoder, examines and writes it.

    Returns:
        The artifact as written, with `report`: how well it fits, and what was learned from.

    Raises:
        As `train.train`.
    """
    trained = learned(models, division, recipe, setting)
    learner = trained.learner
    coders, scale = learner.finish(), learner.scale
    if scale is None:
        raise SubjectError("nothing was learned; give more --tokens")
    seed = child_seed(recipe.seed, "report")
    threshold = learner.trainers[0].threshold
    fit = Fit(coders[0], scale, threshold, sides=2)
    evaluate(models, division.held_back, recipe, setting, lambda *rows: fit.add(*fit.encode(rows[0]), *rows[1:]))
    living = [_living(learner, number) for number in range(len(coders))]
    living[0] |= fit.alive
    examination = Examination(coders[0], living[0])
    passages = (*division.held_back, *division.learned[:SCALED_PASSAGES])
    if examination.needed:
        evaluate(models, passages, recipe, setting, lambda sides, *_: examination.add(*fit.encode(sides)))
    found = fit.summary(seed)
    artifact = examination.finish().artifact(site=recipe.site, kind=recipe.kind, fve=explained(found["fvu"]))
    if len(coders) > 1:
        rows = [coder.w_dec[torch.from_numpy(own)] for coder, own in zip(coders, living, strict=True)]
        artifact["seeds"] = [
            {"seed": other, **matched_share(rows[0], own, seed)}
            for other, own in zip(recipe.more_seeds, rows[1:], strict=True)
        ]
    facts = {**trained.facts, "threshold": threshold, "factors": list(scale.factors), "held_out": found}
    _write(setting, coders[0], scale, recipe, facts, artifact)
    checkpoints.remove(setting.out)
    return {**artifact, "report": facts}


def explained(fvu: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """FVE = 1 − FVU of each side, with the ends of the interval changed over."""

    def less(value: float | None) -> float | None:
        return None if value is None else 1.0 - value

    return {
        side: {"value": less(own["value"]), "low": less(own["high"]), "high": less(own["low"]), "n": own["n"]}
        for side, own in fvu.items()
    }


def folded(coder: Coder, scale: Scale) -> dict[str, torch.Tensor]:
    """The tensors in the activations' own units, by the names that dictionary_learning gives them.

    z = f(Σ_m x^m·encoder.weight[m] + encoder.bias), x̂^m = z·decoder.weight[m] + decoder.bias[m]; shapes (2, d, n), (n),
    (2, n, d), (2, d). Codes are those of normalised units, as is the threshold.
    """
    factors = torch.tensor(scale.factors, dtype=torch.float64)[:, None, None]
    w_enc, w_dec = (torch.stack(halves(one.double().cpu())) for one in (coder.w_enc, coder.w_dec))  # (2, n, d)
    mean, b_dec = (torch.stack(halves(one.double().cpu()[None])) for one in (scale.mean, coder.b_dec))  # (2, 1, d)
    shift = ((mean * factors + b_dec) * w_enc).sum(dim=(0, 2))
    found = {
        "encoder.weight": (w_enc * factors).transpose(1, 2),
        "encoder.bias": coder.b_enc.double().cpu() - shift,
        "decoder.weight": w_dec / factors,
        "decoder.bias": (b_dec / factors + mean)[:, 0],
    }
    return {name: tensor.float() for name, tensor in found.items()}


def _living(learner: Learner, number: int) -> npt.NDArray[np.bool_]:
    trainer = learner.trainers[number]
    found: npt.NDArray[np.bool_] = (trainer.idle <= trainer.dead_after).cpu().numpy()
    return found


def _write(
    setting: Setting, coder: Coder, scale: Scale, recipe: Recipe, facts: dict[str, Any], artifact: dict[str, Any]
) -> None:
    """Tensors, artifact and, last, the configuration: a directory with one is complete."""
    content = {
        "architecture": "crosscoder",
        "kind": recipe.kind,
        "latents": coder.latents,
        "width": int(coder.b_dec.numel()) // 2,
        "dtype": "float32",
        "threshold": facts["threshold"],
        "metadata": {
            "model_names": [(facts[side] or {}).get("label") for side in ("base", "trained")],
            "hook_name": hook_of(recipe.site),
            "afterburn": {"site": recipe.site, "on": "both", **facts},
        },
    }
    write_tensors(setting.out / WEIGHTS, folded(coder, scale))
    write_json(setting.out / ARTIFACT, artifact)
    write_json(setting.out / CONFIGURATION, content)
