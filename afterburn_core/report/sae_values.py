"""What artifacts of sparse dictionaries say, as frozen values; `sae_artifacts` reads them."""

from __future__ import annotations

import attrs

MEASURES = ("dense", "features", "mass")
"""Kinds of drift: 1 − cos of mean activations, 1 − cos of mean feature activations, Σ|Δ_j| / Σ ā^b."""


@attrs.frozen(kw_only=True)
class Estimate:
    """A number with its 95 % interval and the units behind it."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@attrs.frozen(kw_only=True)
class Dictionary:
    """One dictionary, whether it fits both models, and how many of its features changed."""

    id: str
    name: str
    format: str
    kind: str
    sha256: str
    site: str
    site_out: str | None = None
    """What a transcoder writes."""
    model: str | None
    latents: int
    width: int
    valid: bool
    why: str | None
    """Why it is not valid here, or what to keep in mind where it is."""
    fvu: tuple[Estimate | None, Estimate | None]
    """Fraction of variance unexplained on base and on trained."""
    l0: tuple[Estimate | None, Estimate | None]
    """Active features per token on base and on trained."""
    tested: int
    up: int
    down: int
    alpha: float
    prompts: int
    tokens: int


@attrs.frozen(kw_only=True)
class Label:
    """What somebody, or a model, calls a feature."""

    text: str
    source: str
    explainer: str | None
    score: float | None
    auto_generated: bool


@attrs.frozen(kw_only=True)
class Side:
    """A feature on one model."""

    mean: float
    frequency: float | None


@attrs.frozen(kw_only=True)
class Context:
    """A stretch of text on which a feature is active."""

    domain: str
    subject: str
    pieces: tuple[tuple[str, float], ...]
    """Tokens and the feature's activation at each."""
    peak: int | None


@attrs.frozen(kw_only=True)
class Feature:
    """One feature of a dictionary on both models."""

    dictionary: str
    feature: int
    label: Label | None
    base: Side
    trained: Side
    difference: Estimate
    d_z: float | None
    multiple: float | None
    """Signed: −k where the feature fell to a k-th."""
    p: float | None
    p_adjusted: float | None
    changed: str | None
    """`up`, `down` or nothing."""
    attribution: float | None
    rank: int | None
    attribution_rank: int | None
    promoted: tuple[str, ...]
    suppressed: tuple[str, ...]
    contexts: tuple[Context, ...]


@attrs.frozen(kw_only=True)
class FeatureTable:
    """The artifact `sae.features`."""

    dictionaries: tuple[Dictionary, ...]
    features: tuple[Feature, ...]

    def of(self, dictionary: str) -> tuple[Feature, ...]:
        """The features of one dictionary, in the order of the file."""
        return tuple(one for one in self.features if one.dictionary == dictionary)


@attrs.frozen(kw_only=True)
class DriftCell:
    """Drift at one site over one probe set."""

    site: str
    set: str
    dense: Estimate | None
    features: Estimate | None
    mass: Estimate | None


@attrs.frozen(kw_only=True)
class DriftMap:
    """The artifact `sae.drift`."""

    sites: tuple[str, ...]
    sets: tuple[str, ...]
    cells: tuple[DriftCell, ...]

    def value(self, measure: str, site: str, of: str) -> Estimate | None:
        """One cell of one of the maps; `None` where it was not measured."""
        found = next((cell for cell in self.cells if (cell.site, cell.set) == (site, of)), None)
        return None if found is None else getattr(found, measure)


@attrs.frozen(kw_only=True)
class RiskyFeature:
    """One feature of a pack, over one probe set."""

    feature: int | str
    """Number in its dictionary, or the name of a direction."""
    label: str | None
    direction: str | None
    """What the pack calls risky: `up` or `down`."""
    base: float | None
    trained: float | None
    multiple: float | None
    low: float | None
    high: float | None
    shift: float | None
    """log₂ of the multiple, or the share of the way along a direction; + towards what the pack calls risky."""
    null95: float | None
    """What 95 % of comparison latents, or of random directions, stay under."""
    p: float | None
    p_adjusted: float | None
    set: str | None


@attrs.frozen(kw_only=True)
class RiskPack:
    """One pack, and whether it belongs to the dictionary that was used."""

    name: str
    version: str
    sha256: str
    dictionary: str | None
    bound: bool
    verified: bool | None
    """Whether its author has shown what its features do; `None` where it does not say."""
    features: tuple[RiskyFeature, ...]


@attrs.frozen(kw_only=True)
class Scaled:
    """Latent scaling of one latent (arXiv 2504.02922)."""

    feature: int
    delta_norm: float
    nu_reconstruction: float | None
    nu_error: float | None
    trained_only: bool


@attrs.frozen(kw_only=True)
class Crosscoder:
    """The artifact `sae.crosscoder`."""

    site: str
    kind: str
    latents: int
    alive: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    """Latents by Δnorm in [0, 1]; 1 is trained-only."""
    classes: tuple[int, int, int]
    """Latents that are base-only, shared and trained-only by their norms."""
    kept: int
    """Trained-only latents that latent scaling leaves."""
    scaled_classes: tuple[int, int, int] | None
    """The classes once those that latent scaling threw out count as shared."""
    seeds: tuple[Estimate, ...]
    """Share of the latents that training from another seed finds again."""
    scaling: tuple[Scaled, ...]
    fve: tuple[Estimate | None, Estimate | None]
    """Fraction of variance explained on base and on trained."""
