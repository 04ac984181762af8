"""Options of the weight plugin's components; light, so that specs can name them."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class ChangeOptions:
    """Options of `weight.judge`."""

    rounding_ratio: float = attrs.field(default=1.0, validator=attrs.validators.ge(0))
    """A model-wide relative change below this multiple of the rounding floor is for review. One rounding of every
    entry has a ratio of 1 by definition of the floor."""
    unrelated: float = attrs.field(default=0.3, validator=attrs.validators.ge(0))
    """A cosine distance, the median over kinds of matrices, from which the trained model may not come from this base.
    Weights drawn apart have about 1; a fine-tune of relative change .1 has .005."""
    top: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    """How many places the message on the change names as evidence."""
    examples: int = attrs.field(default=20, validator=attrs.validators.ge(0))
    """How many changed configuration keys, tokens or tensors a finding shows."""


@attrs.frozen(kw_only=True)
class SpectrumOptions:
    """Options of `weight.spectrum`."""

    keep_values: bool = True
    """Whether all singular values are kept as an artifact, 8 bytes each."""


@attrs.frozen(kw_only=True)
class EmbeddingOptions:
    """Options of `weight.embeddings`."""

    top: int = attrs.field(default=20, validator=attrs.validators.ge(0))
    """How many of the tokens that moved most are measured one by one and listed, per embedding."""
    added: int = attrs.field(default=64, validator=attrs.validators.ge(0))
    """How many added and how many removed tokens are listed, per embedding."""
    nearest: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    """How many of the nearest old tokens are listed beside an added one."""


@attrs.frozen(kw_only=True)
class DirectionOptions:
    """Options of `weight.directions`."""

    draws: int = attrs.field(default=999, validator=attrs.validators.ge(19))
    """Sets of random directions that the coherence is compared with; the least p is 1/(draws + 1). Of more than 128
    directions at most 199 sets are drawn."""
    tokens: int = attrs.field(default=20, validator=attrs.validators.ge(0))
    """How many nearest tokens are listed per direction and sign; 0 leaves the output head unread."""
    read_out: int = attrs.field(default=256, validator=attrs.validators.ge(0))
    """How many writers' directions are read out, those with the largest change first."""


@attrs.frozen(kw_only=True)
class PlaceOptions:
    """Options of `weight.places`. None of the bars was fitted to data."""

    top: int = attrs.field(default=5, validator=attrs.validators.ge(1))
    """How many tokens, heads, norms or layers a finding names."""
    concentration: float = attrs.field(default=0.01, validator=attrs.validators.ge(0))
    """Half of an embedding's change in at most this share of its tokens is for review: rows that change on their own
    are how a new special token, or a trigger, shows."""
    norm_drift: float = attrs.field(default=0.1, validator=attrs.validators.ge(0))
    """A norm whose effective gain moved by at least this share is for review: it rescales all that its block reads."""
    p_value: float = attrs.field(default=0.01, validator=attrs.validators.ge(0))
    """Coherence with a larger p against random directions counts as chance."""


@attrs.frozen(kw_only=True)
class TailOptions:
    """Options of `weight.tail`."""

    bootstrap: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """Draws of the semi-parametric bootstrap of each fit, 200 for instance; 0 leaves it out."""


@attrs.frozen(kw_only=True)
class NoiseOptions:
    """Options of `weight.noise`."""

    level: float = attrs.field(default=0.99, validator=attrs.validators.in_((0.95, 0.99, 0.999)))
    """Share of pure noise matrices whose largest singular value lies within the edge."""
    listed: int = attrs.field(default=64, validator=attrs.validators.ge(0))
    """How many spikes per matrix the artifact lists, the largest."""


@attrs.frozen(kw_only=True)
class NullOptions:
    """Options of `weight.null`."""

    draws: int = attrs.field(default=19, validator=attrs.validators.ge(1))
    """Copies of Δ with random signs; their largest singular value is exceeded by noise with p = 1/(draws + 1)."""
    always: bool = False
    """Whether nulls are also drawn for matrices without a singular value beyond the Marchenko–Pastur edge."""
    most_entries: int = attrs.field(default=1 << 26, validator=attrs.validators.ge(0))
    """Larger matrices, such as embeddings, are left out: a draw reads every entry some forty times."""


@attrs.frozen(kw_only=True)
class RandomnessOptions:
    """Options of `weight.randomness`."""

    p_value: float = attrs.field(default=0.01, validator=attrs.validators.ge(0))
    """False-discovery rate among matrices, and level of the test that more changed than by chance."""
    top: int = attrs.field(default=5, validator=attrs.validators.ge(1))
    """How many matrices a finding names."""
