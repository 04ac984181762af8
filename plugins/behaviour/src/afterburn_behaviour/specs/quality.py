"""Whether answers are right, how many attempts they take, and how sure the model is of them."""

from __future__ import annotations

from afterburn_behaviour.quality_options import AnswerOptions, CalibrationOptions, CorrectOptions, QualityRules
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, GenerationNeed, MetricSpec, RuleSpec

CORRECT = (
    MetricSpec(
        id="behaviour.correct.rate",
        summary="Share of answers that are right, averaged inside each prompt first; of a pair, trained minus base",
        direction="higher_is_better",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.correct.no_answer",
        summary="Share of answers in which no final answer is found, among prompts with a gold answer; of a pair, "
        "trained minus base",
        direction="lower_is_better",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.correct.newly_right",
        summary="Prompts that base gets wrong and trained right, by the majority of each side's samples",
        unit="prompts",
        low=0.0,
    ),
    MetricSpec(
        id="behaviour.correct.newly_wrong",
        summary="Prompts that base gets right and trained wrong, by the majority of each side's samples",
        unit="prompts",
        low=0.0,
    ),
)
ANSWERS = (
    MetricSpec(
        id="behaviour.answers.entropy",
        summary="Entropy of a prompt's final answers over its samples (Miller–Madow), averaged over prompts; of a "
        "pair, trained minus base",
        unit="nats",
    ),
    MetricSpec(
        id="behaviour.answers.distinct",
        summary="Expected number of different final answers among as many samples of a prompt as the subset says; of a "
        "pair, trained minus base",
        unit="answers",
    ),
    MetricSpec(
        id="behaviour.answers.none",
        summary="Share of samples without a final answer, among prompts whose answers are looked for; of a pair, "
        "trained minus base",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.pass_at_k",
        summary="Chance that at least one of k samples is right, 1 − C(n−c, k)/C(n, k) averaged over prompts; the "
        "subset names k; the interval is a band over all k at once; of a pair, trained minus base",
        direction="higher_is_better",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.pass_at_k.crossover",
        summary="Smallest k at which base solves at least as many prompts as trained although trained leads at k = 1",
        unit="samples",
        low=1.0,
        neutral=None,
    ),
)
CALIBRATION = (
    MetricSpec(
        id="behaviour.calibration.confidence",
        summary="Mean probability of the preferred option of multiple-choice prompts; of a pair, trained minus base",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.calibration.accuracy",
        summary="Share of multiple-choice prompts whose preferred option is right; of a pair, trained minus base",
        direction="higher_is_better",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.calibration.overconfidence",
        summary="Mean confidence minus accuracy; of a pair, trained minus base",
        low=-2.0,
        high=2.0,
    ),
    MetricSpec(
        id="behaviour.calibration.ece",
        summary="Expected calibration error over bins of equal mass, with the bias of finite bins subtracted",
        direction="lower_is_better",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.calibration.brier",
        summary="Mean squared distance between confidence in the preferred option and its correctness; of a pair, "
        "trained minus base",
        direction="lower_is_better",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.calibration.reliability",
        summary="Part of the Brier score that recalibration would remove",
        direction="lower_is_better",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.calibration.resolution",
        summary="Part of the Brier score that telling right answers from wrong ones saves",
        direction="higher_is_better",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.calibration.uncertainty",
        summary="Part of the Brier score that the accuracy alone decides, a(1 − a)",
        low=0.0,
        high=0.25,
    ),
)
JUDGE = (
    MetricSpec(
        id="behaviour.judge.preference",
        summary="How much oftener a judging model prefers trained's answer than base's, both orders averaged; 0 is "
        "even",
        low=-0.5,
        high=0.5,
    ),
    MetricSpec(
        id="behaviour.judge.preference_corrected",
        summary="The same corrected for the judge's errors by gold preferences on some of the prompts (PPI++)",
    ),
    MetricSpec(
        id="behaviour.judge.position_bias",
        summary="How much oftener the judge prefers the answer shown first; 0 is even",
        low=-0.5,
        high=0.5,
    ),
    MetricSpec(
        id="behaviour.judge.consistency",
        summary="Share of prompts on which the judge says the same in both orders",
        direction="higher_is_better",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.judge.unreadable",
        summary="Share of the judge's replies without a verdict",
        direction="lower_is_better",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.judge.agreement",
        summary="Cohen's kappa of the judge with gold preferences",
        direction="higher_is_better",
        low=-1.0,
        high=1.0,
    ),
)
RULES = (
    RuleSpec(
        id="behaviour.correct_shift",
        summary="Whether answers are right more or less often after training",
        help="Look at the flips in both directions and at categories: a fall in one can hide behind a gain in another. "
        "If the question is open, add prompts with gold answers.",
        level="note",
        metrics=("behaviour.correct.rate",),
    ),
    RuleSpec(
        id="behaviour.calibration_shift",
        summary="Whether the model's confidence in its answers fits their correctness better or worse after training",
        help="Compare the reliability diagrams. Needs multiple-choice prompts and the log-probabilities of their "
        "options.",
        level="note",
        metrics=("behaviour.calibration.brier", "behaviour.calibration.overconfidence"),
    ),
)

ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="behaviour.correct",
        summary="How often answers are right, and which became right or wrong",
        needs=(GenerationNeed(),),
        metrics=CORRECT,
        factory="afterburn_behaviour.correct:Correct",
        options=CorrectOptions,
    ),
    AnalyzerSpec(
        name="behaviour.answers",
        summary="How many different final answers a prompt gets, and what more attempts gain",
        needs=(GenerationNeed(),),
        metrics=ANSWERS,
        factory="afterburn_behaviour.answers:AnswerVariety",
        options=AnswerOptions,
    ),
    AnalyzerSpec(
        name="behaviour.calibration",
        summary="Whether confidence in multiple-choice answers fits how often they are right",
        needs=(GenerationNeed(choices=True),),
        metrics=CALIBRATION,
        factory="afterburn_behaviour.calibration:Calibration",
        options=CalibrationOptions,
    ),
    AnalyzerSpec(
        name="behaviour.judge",
        summary="Which side's answers a third model prefers, asked in both orders",
        needs=(GenerationNeed(judge=True),),
        metrics=JUDGE,
        factory="afterburn_behaviour.judging:JudgedPairs",
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="behaviour.quality_judge",
        summary="Says whether correctness and calibration shifted",
        rules=RULES,
        factory="afterburn_behaviour.quality_judge:QualityJudge",
        options=QualityRules,
    ),
)
