"""Specs of what random-matrix theory and power laws say of a spectrum, and of their judge."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, MetricSpec, RuleSpec, WeightsNeed
from afterburn_weight.options import NoiseOptions, NullOptions, RandomnessOptions, TailOptions

TAIL = (
    MetricSpec(
        id="weight.tail.alpha",
        summary="Exponent of a power law p(λ) ∝ λ^−α fitted to the largest eigenvalues λ = σ² by maximum likelihood, "
        "from the λ_min of least Kolmogorov–Smirnov distance; n is the tail's length",
        low=1.0,
    ),
    MetricSpec(
        id="weight.tail.alpha_se", summary="Standard error of α, (α − 1)/√n; the choice of λ_min is not in it", low=0.0
    ),
    MetricSpec(
        id="weight.tail.distance",
        summary="Kolmogorov–Smirnov distance of the tail from its power law; its p is an upper bound, and a small one "
        "rejects the power law",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(id="weight.tail.x_min", summary="Where the tail begins: λ_min, its smallest eigenvalue", low=0.0),
    MetricSpec(
        id="weight.tail.lognormal",
        summary="Log-likelihood of the power law minus that of the best truncated lognormal on the same tail; negative "
        "speaks for the lognormal",
        unit="nats",
        high=0.0,
    ),
    MetricSpec(
        id="weight.tail.resolved",
        summary="Eigenvalues that are neither zero nor below the spectrum's numeric floor: those a tail is sought in",
        unit="eigenvalues",
        low=0.0,
    ),
    MetricSpec(
        id="weight.tail.bootstrap_p",
        summary="Share of spectra drawn from the fit that lie as far from their own best power law; at most 0.1 "
        "rejects the power law (option `bootstrap`)",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.tail.alpha_change",
        summary="α of the trained matrix minus α of the base; tested by the lesser of two z, with each tail's own "
        "λ_min and with the base's",
    ),
    MetricSpec(
        id="weight.tail.alpha_median",
        summary="Median of α over the matrices of a place, with quartiles; a summary of fits, not a fit",
        low=1.0,
    ),
    MetricSpec(
        id="weight.tail.changed_share",
        summary="Share of matrices whose α changed by more than 2 standard errors; 0.0455 by chance at most",
        low=0.0,
        high=1.0,
    ),
)
NOISE = (
    MetricSpec(
        id="weight.noise.scale",
        summary="Standard deviation of the entries of the noise, median(σ)/√(m μ_β): from the bulk, not from spikes",
        low=0.0,
    ),
    MetricSpec(
        id="weight.noise.edge",
        summary="Singular value that noise of this scale exceeds with probability 0.01 (Tracy–Widom; option `level`)",
        low=0.0,
    ),
    MetricSpec(
        id="weight.noise.spikes",
        summary="Singular values beyond the edge of the noise; counts add over matrices",
        unit="singular values",
        low=0.0,
    ),
    MetricSpec(
        id="weight.noise.share",
        summary="Share of the squared norm in singular values beyond the edge; rolled up by energy",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="weight.noise.distance",
        summary="Kolmogorov–Smirnov distance between the bulk's eigenvalues and the Marchenko–Pastur law",
        low=0.0,
        high=1.0,
    ),
)
NULL = (
    MetricSpec(
        id="weight.null.sign_edge",
        summary="Largest singular value of the change under random signs of its entries; n is the number of draws",
        low=0.0,
    ),
    MetricSpec(
        id="weight.null.sign_spikes",
        summary="Singular values of the change beyond the sign edge; counts add over matrices",
        unit="singular values",
        low=0.0,
    ),
    MetricSpec(
        id="weight.null.whitened_spikes",
        summary="Singular values of the change beyond the Marchenko–Pastur edge after rows and columns were scaled to "
        "one variance; counts add over matrices",
        unit="singular values",
        low=0.0,
    ),
    MetricSpec(
        id="weight.null.rounding_edge",
        summary="Largest singular value that rounding the trained matrix to its dtype leaves in the change",
        low=0.0,
    ),
    MetricSpec(
        id="weight.null.rounding_spikes",
        summary="Singular values of the change beyond the rounding edge; counts add over matrices",
        unit="singular values",
        low=0.0,
    ),
)
RULES = (
    RuleSpec(
        id="weight.structured_change",
        summary="Whether and where the change has structure beyond noise",
        help="Directions that stand out of the noise are where training had a consistent aim: look at those matrices "
        "first. The Marchenko–Pastur edge takes noise of uneven rows for structure; `--preset full` adds nulls "
        "that do not, and without them only matrices with a bulk of even noise are named.",
        level="note",
        metrics=("weight.noise.spikes",),
    ),
    RuleSpec(
        id="weight.tail_change",
        summary="Whether power-law exponents of the weights changed in more matrices than by chance",
        help="The exponent reflects the matrix's shape and the tails of its entries as much as learning. Read a change "
        "as a pointer to matrices whose spectrum moved, never as better or worse.",
        level="note",
        metrics=("weight.tail.changed_share",),
    ),
)

ANALYZERS = (
    AnalyzerSpec(
        name="weight.tail",
        summary="Power-law exponents of the spectra of both checkpoints and of the change, with fit and error",
        needs=(WeightsNeed(quantities=("spectra",)),),
        metrics=TAIL,
        factory="afterburn_weight.tail:TailAnalyzer",
        options=TailOptions,
        preset="standard",
    ),
    AnalyzerSpec(
        name="weight.noise",
        summary="Noise scale, edge and spikes of the change and of both checkpoints by the Marchenko–Pastur law",
        needs=(WeightsNeed(quantities=("spectra",)),),
        metrics=NOISE,
        factory="afterburn_weight.noise:NoiseAnalyzer",
        options=NoiseOptions,
        preset="standard",
    ),
    AnalyzerSpec(
        name="weight.null",
        summary="Structure of the change against random signs, after whitening, and against rounding",
        needs=(WeightsNeed(quantities=("sums", "spectra", "tensors")),),
        metrics=NULL,
        factory="afterburn_weight.structure:NullAnalyzer",
        options=NullOptions,
        preset="full",
    ),
)
DETECTORS = (
    DetectorSpec(
        name="weight.randomness",
        summary="Says where the change is structured beyond noise, and whether tail exponents moved beyond chance",
        rules=RULES,
        factory="afterburn_weight.randomness:Randomness",
        options=RandomnessOptions,
    ),
)
