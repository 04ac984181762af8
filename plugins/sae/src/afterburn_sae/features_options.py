"""Options of `sae.features` and its judge, and what they make the analyzer need; light, so that specs can name them."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from afterburn_core.forward.model import Source
from afterburn_core.plugin import ForwardNeed

Positions = Literal["content", "last", "all"]
LAST = "blocks.last.out"
SOURCES: tuple[Source, ...] = ("text", "prompt")
NOBODY_SUSPECTED = "no group of prompts is suspected; --outlier PROPERTY=VALUE names one"


def _inside(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"'{attribute.name}' must lie between 0 and 1: {value}")


def _share(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"'{attribute.name}' must be a share, from 0 to 1: {value}")


@attrs.frozen(kw_only=True)
class FeaturesOptions:
    """Options of `sae.features`."""

    dictionaries: tuple[str, ...] = ()
    """Sparse dictionaries: files, directories, or names shipped with the plugin."""
    labels: tuple[str, ...] = ()
    """What features are called: Neuronpedia exports, JSONL or CSV files, or directories of them."""
    features: tuple[int, ...] = attrs.field(default=())
    """Look at these features alone; only their columns of the encoder are read where the architecture allows it."""
    site: str | None = None
    """Where to read activations, in place of the site that the dictionary names."""
    positions: Positions = "content"
    """Tokens that count: the text's own (`content`), the last of a prompt, where the answer begins (`last`), or all."""
    contrast: tuple[str, ...] = attrs.field(default=())
    """Two variants of prompts (`properties.variant` or `frame` of a probe, pairs in one group): what is tested is how
    much more a feature changed under the first than under the second, pair by pair."""
    outlier: tuple[str, ...] = attrs.field(default=())
    """A property of probes and its value in a suspected group, such as a realm's name: whether what training did to
    prompts of that group lies apart from what it did to the same wordings (one `group` each) with other values."""
    any_model: bool = False
    """Whether a dictionary may be used that names another model."""
    most_unexplained: float = attrs.field(default=0.5, validator=_inside)
    """Fraction of variance unexplained on base beyond which a dictionary is not valid here."""
    alpha: float = attrs.field(default=0.05, validator=_inside)
    """False discovery rate over the features of a dictionary."""
    active: float = attrs.field(default=0.005, validator=_share)
    """Share of the prompts in which a feature must be active, on either side, to be tested."""
    attributed: float = attrs.field(default=0.25, validator=_share)
    """Share of the passages on which attributions are taken; 0 takes none."""
    shown: int = attrs.field(default=200, validator=attrs.validators.ge(1))
    """Features that the artifact lists of each dictionary."""
    contexts: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    """Passages that it shows of each feature and side."""

    def __attrs_post_init__(self) -> None:
        if self.site is not None and "*" in self.site:
            raise ValueError(f"'site' must be one site, such as blocks.3.out: {self.site!r}")
        if len(set(self.contrast)) not in (0, 2) or len(self.contrast) != len(set(self.contrast)):
            raise ValueError(f"'contrast' must name two variants: {list(self.contrast)}")
        if len(self.outlier) not in (0, 2) or not all(self.outlier):
            raise ValueError(f"'outlier' must name a property and its suspected value: {list(self.outlier)}")
        if self.outlier and self.contrast:
            raise ValueError("'outlier' and 'contrast' ask two questions; ask one at a time")


@attrs.frozen(kw_only=True)
class FeatureJudgeOptions:
    """Options of `sae.feature_judge`."""

    most_added: float = attrs.field(default=0.1, validator=_inside)
    """Growth of it on trained beyond which findings are no more than a review."""


def needs_of_features(options: FeaturesOptions) -> tuple[ForwardNeed, ...] | str:
    """The sites of the dictionaries; the last block and the head for attributions and tokens.

    Raises:
        SubjectError: a dictionary cannot be opened.
        ConfigError: a file of labels is not there.
    """
    if not options.dictionaries:
        return "needs a sparse dictionary, and none is named; --sae names one"
    from afterburn_sae.labels import require

    require(options.labels)
    from afterburn_sae.encoded import shared_dictionary
    from afterburn_sae.places import sites_of

    sites = {LAST} if options.attributed else set()
    sites |= {site for path in options.dictionaries for site in sites_of(shared_dictionary(path), options.site)}
    return (ForwardNeed(sources=SOURCES, sites=tuple(sorted(sites)), readout=True),)
