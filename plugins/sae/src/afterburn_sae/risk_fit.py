"""Whether the dictionary behind a risk pack's numbers fits the models, as `sae.feature_judge` found. Pure Python."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from afterburn_core.judge.evidence import Evidence

VALID = "sae.valid"
Fit = Literal["fits", "worse", "unknown", "unfit"]


def fit(evidence: Evidence, sites: Collection[str | None]) -> tuple[Fit, str]:
    """The worst of the dictionaries at these sites, with the reason.

    `unfit`: not valid here, or its fit could not be told. `worse`: clearly worse on trained. `unknown`: nobody measured
    it, since `sae.features` took no part. Only `fits` lets a finding rest on features.
    """
    own = [one for one in evidence.findings if one.rule == VALID]
    own = [one for one in own if one.scope.site is None or one.scope.site in sites]
    for kind, found in (("open", "unfit"), ("review", "worse")):
        for one in own:
            if one.kind == kind:
                return found, one.message  # type: ignore[return-value]
    if any(one.kind == "pass" for one in own):
        return "fits", ""
    return "unknown", "whether the dictionary fits these models was not measured (sae.features)"
