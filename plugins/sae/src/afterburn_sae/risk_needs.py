"""What drift and risk packs need of a run, by their options. Imports nothing heavy before a dictionary is named."""

from __future__ import annotations

from afterburn_core.plugin import ForwardNeed
from afterburn_sae.domain_texts import SETS
from afterburn_sae.pack import read_packs
from afterburn_sae.risk_options import DriftOptions, RiskOptions

BLOCKS = "blocks.*.out"


def of_drift(options: DriftOptions) -> tuple[ForwardNeed, ...] | str:
    """The four domains' passages at every block, and where the dictionaries read.

    Raises:
        SubjectError: a dictionary cannot be opened.
    """
    if not options.dictionaries:
        return "needs a sparse dictionary, and none is named; --sae names one"
    from afterburn_sae.encoded import shared_dictionary
    from afterburn_sae.places import sites_of

    own = (sites_of(shared_dictionary(path), options.site) for path in options.dictionaries)
    sites = {BLOCKS, *(site for found in own for site in found)}
    return (ForwardNeed(sources=("given",), sites=tuple(sorted(sites)), passage_sets=SETS),)


def of_risk(options: RiskOptions) -> tuple[ForwardNeed, ...] | str:
    """The passages and sites that the packs name.

    Raises:
        ConfigError: a pack cannot be read.
    """
    packs = read_packs(options.packs)
    if not packs:
        return "needs a risk pack, and none is named; --pack names one"
    sites = tuple(sorted({site for pack in packs for site in pack.sites}))
    sets = tuple(sorted({name for pack in packs for name in pack.probe_sets}))
    return (ForwardNeed(sources=("given",), sites=sites, passage_sets=sets),)
