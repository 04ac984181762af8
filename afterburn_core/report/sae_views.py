"""What reports show of sparse dictionaries, gathered once for all formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from afterburn_core.report.behaviour_questions import options_of
from afterburn_core.report.behaviour_values import option
from afterburn_core.report.forward_marks import WORDS
from afterburn_core.report.sae_artifacts import read_crosscoder, read_drift, read_features, read_risk
from afterburn_core.report.sae_channels import Channels, channels
from afterburn_core.report.sae_crosscoder import CrosscoderView, crosscoder_view
from afterburn_core.report.sae_features import SaeLimits, Table, tables
from afterburn_core.report.sae_maps import HeatMap, heat_maps
from afterburn_core.report.sae_risks import ALPHA, DETECTOR, RiskTable, risk_tables
from afterburn_core.result.model import Finding

if TYPE_CHECKING:
    from afterburn_core.report.evidence import Evidence
    from afterburn_core.result.view import ResultView

_WORDS = {
    "sae.valid": {"pass": "Fits", "open": "Not valid here"},
    "sae.features_changed": {"informational": "Changed", "pass": "Unchanged"},
    "sae.features_outlier": {"informational": "The outlier", "pass": "Not the outlier"},
}
_OTHERS = {
    "fail": "Beyond its bar",
    "review": "For review",
    "open": "Undecided",
    "pass": "Nothing found",
    "informational": "Moved",
}


@attrs.frozen(kw_only=True)
class SaeViews:
    """Everything the section needs; parts are empty where the run has no data for them."""

    rules: tuple[tuple[str, Finding], ...]
    """What each rule asks, and what it found."""
    tables: tuple[Table, ...]
    maps: tuple[HeatMap, ...]
    risks: tuple[RiskTable, ...]
    channels: Channels
    crosscoder: CrosscoderView | None
    problems: tuple[str, ...]

    def __bool__(self) -> bool:
        shown = self.tables or self.maps or self.risks or self.channels or self.crosscoder is not None
        return bool(shown or self.problems)

    @staticmethod
    def word(finding: Finding) -> str:
        """What a rule decided, in a word or two."""
        own = _WORDS.get(finding.rule, {})
        return own.get(finding.kind, _OTHERS.get(finding.kind, WORDS.get(finding.kind, "")))


def sae_views(view: ResultView, evidence: Evidence, limits: SaeLimits) -> SaeViews:
    """Reads the artifacts that it shows and nothing else."""
    features, no_features = read_features(view)
    drift, no_drift = read_drift(view)
    packs, no_packs = read_risk(view)
    crosscoder, no_crosscoder = read_crosscoder(view)
    known = () if features is None else features.dictionaries
    alpha = option(options_of(view.result), DETECTOR, "alpha", ALPHA)
    problems = (no_features, no_drift, no_packs, no_crosscoder)
    titles = {rule.id: rule.summary for rule in view.result.descriptors.rules if rule.id.startswith("sae.")}
    return SaeViews(
        rules=tuple((titles.get(f.rule, f.rule), f) for f in view.result.findings if f.rule.startswith("sae.")),
        tables=() if features is None else tables(features, limits),
        maps=() if drift is None else heat_maps(drift),
        risks=() if packs is None else risk_tables(packs, known, limits, alpha=alpha),
        channels=channels(evidence.families.get("sae", ())),
        crosscoder=None if crosscoder is None else crosscoder_view(crosscoder, points=limits.points),
        problems=tuple(dict.fromkeys(problem for problem in problems if problem)),
    )
