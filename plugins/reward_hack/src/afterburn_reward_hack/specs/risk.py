"""The risk: the worst of the rules, as one number with its bounds."""

from __future__ import annotations

from afterburn_core.plugin import AnalyzerSpec, CommandSpec, DetectorSpec, MetricSpec, ProbeSetSpec, RuleSpec


def _metric(name: str, summary: str) -> MetricSpec:
    return MetricSpec(id=f"reward_hack.risk{name}", summary=summary, unit="of 100", low=0.0, high=100.0)


ANALYZERS: tuple[AnalyzerSpec, ...] = ()
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="reward_hack.risk",
        summary="Takes the worst of the rules, and says what they leave undecided or could not look at",
        rules=(
            RuleSpec(
                id="reward_hack.risk",
                summary="How strong the strongest sign of reward hacking is, and what could not be judged",
                help="Read the rule that the risk comes from; where rules are open or could not run, the message says "
                "what they need.",
                level="note",
                metrics=(),
            ),
        ),
        metrics=(
            _metric("", "100 · max over rules of weight · strength; undefined while a rule is open"),
            _metric(".known", "The same with open rules counted as 0; the interval's far end counts them in full"),
            _metric(".worst", "The same with open rules and rules that could not run counted in full"),
            _metric(".noisy_or", "100 · (1 − Π (1 − weight · strength)): more than one sign; decides nothing"),
        ),
        factory="afterburn_reward_hack.risk_judge:RiskJudge",
        last=True,
    ),
)
PROBE_SETS: tuple[ProbeSetSpec, ...] = ()
COMMANDS: tuple[CommandSpec, ...] = (
    CommandSpec(
        name="reward_hack.hack_check",
        summary="Say whether what training moved looks like reward hacking.",
        factory="afterburn_reward_hack.commands:hack_check",
    ),
)
