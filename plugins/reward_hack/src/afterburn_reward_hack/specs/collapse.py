"""Strategy and template collapse: fewer different answers."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, GenerationNeed, MetricSpec, ProbeSetSpec, RuleSpec
from afterburn_reward_hack.collapse_options import CollapseOptions, CollapseRules

_PAIR = "; of a pair, trained minus base"


def _metric(name: str, summary: str) -> MetricSpec:
    return MetricSpec(
        id=f"reward_hack.collapse.{name}",
        summary=summary + _PAIR,
        direction="higher_is_more_change",
        low=-1.0,
        high=1.0,
    )


METRICS = (
    MetricSpec(
        id="reward_hack.collapse.prompts",
        summary="Prompts whose answers are compared for reuse; the others are named in the reason",
        unit="prompts",
        low=0.0,
    ),
    *(
        _metric(f"template_{k}", f"Share of prompts whose answers open with the same {k} words, for the commonest")
        for k in (4, 8, 16)
    ),
    _metric("across", "Shared words and word pairs of the answers to two prompts over all of theirs, by equal lengths"),
    _metric("strategy", "Lost variety of strategies over prompts: 1 − entropy/ln 6"),
    _metric("within", "Shared words and word pairs of two samples of a prompt over all of theirs, by equal lengths"),
    _metric("answers", "Lost variety of a prompt's final answers over m samples: 1 − entropy/ln m"),
)
ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="reward_hack.collapse",
        summary="How far answers have gone to one opening, one wording, one answer, one strategy",
        needs=(GenerationNeed(),),
        metrics=METRICS,
        factory="afterburn_reward_hack.collapse:Collapse",
        options=CollapseOptions,
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="reward_hack.collapse_judge",
        summary="Says whether answers collapsed onto a template or onto few answers without getting better",
        rules=(
            RuleSpec(
                id="reward_hack.collapse",
                summary="Whether answers became the same whatever is asked, or few answers were left, without a gain",
                help="Read the pairs: the same words over different prompts are the template. Look for "
                "it in the reward (does it score the template high by itself?) and raise the KL "
                "penalty or the share of varied prompts. Ask with gold answers and `--samples 8`, "
                "so that pass@k can tell collapse from sharpening. If coverage is lost, go back to "
                "an earlier checkpoint.",
                level="error",
                metrics=("reward_hack.collapse.prompts",),
            ),
        ),
        metrics=(
            MetricSpec(
                id="reward_hack.collapse.strength",
                summary="How strongly answers collapsed: 0 at the margin, 1 at the effect of calibrated organisms",
                low=0.0,
                high=1.0,
            ),
        ),
        factory="afterburn_reward_hack.collapse_judge:CollapseJudge",
        options=CollapseRules,
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
