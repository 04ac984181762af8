"""How varied texts are, and whether anything at all changed."""

from __future__ import annotations

from afterburn_behaviour.variety_options import DiversityOptions, OmnibusOptions, VarietyRules
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, GenerationNeed, MetricSpec, RuleSpec

FAMILY = "behaviour.diversity"
_PAIR = "; of a pair, trained minus base"
_GRAMS = {1: "words", 2: "word pairs", 3: "word triples", 4: "runs of 4 words", 5: "runs of 5 words"}


def _metric(name: str, summary: str, unit: str = "1", low: float | None = -1.0, high: float | None = 1.0) -> MetricSpec:
    return MetricSpec(id=f"behaviour.diversity.{name}", summary=summary + _PAIR, unit=unit, low=low, high=high)


WITHIN = (
    *(
        _metric(
            f"distinct_{n}",
            f"Distinct {noun} among a prompt's samples over the number expected of as many random ones, at a fixed "
            "budget of words",
            low=None,
            high=None,
        )
        for n, noun in _GRAMS.items()
    ),
    _metric(
        "self_similarity",
        "Shared words and word pairs of two samples of a prompt over all their words and word pairs, averaged over "
        "pairs of samples",
    ),
    _metric("vendi", "Effective number of different texts among a prompt's samples (Vendi score)", "texts", None, None),
    _metric("duplicates", "Share of pairs of samples of a prompt with the same words"),
    _metric(
        "meaning", "Distance between the meanings of two samples of a prompt, by a sentence encoder", "1", -2.0, 2.0
    ),
    _metric(
        "compression",
        "Compressed over plain size of a text cut to a fixed number of bytes; low where it repeats itself",
        "1",
        None,
        None,
    ),
    _metric(
        "loops", "Share of texts caught in a loop: at least three equal blocks in a row that repeat 12 words or more"
    ),
)
ACROSS = (
    *(
        _metric(f"template_mass_{k}", f"Share of prompts whose answers open with the same {k} words, for the commonest")
        for k in (4, 8, 16)
    ),
    *(
        _metric(f"prefix_concentration_{k}", f"Chance that the answers to two prompts open with the same {k} words")
        for k in (4, 8, 16)
    ),
    *(
        _metric(
            f"prefix_entropy_{k}", f"Entropy of the first {k} words over prompts, as a share of the largest possible"
        )
        for k in (4, 8, 16)
    ),
    *(
        _metric(
            f"across.distinct_{n}",
            f"Distinct {noun} among the answers to all prompts over the number expected of as many random ones, at a "
            "fixed budget of words",
            low=None,
            high=None,
        )
        for n, noun in _GRAMS.items()
    ),
    _metric(
        "across.self_similarity",
        "Shared words and word pairs of the answers to two prompts over all of theirs, averaged over pairs of prompts",
    ),
    _metric(
        "across.vendi",
        "Effective number of different answers over prompts (Vendi score of order 2)",
        "texts",
        None,
        None,
    ),
    _metric(
        "across.meaning",
        "Distance between the meanings of the answers to two prompts, by a sentence encoder",
        "1",
        -2.0,
        2.0,
    ),
)
DIVERSITY = (*WITHIN, *ACROSS)
DECIDING = {
    "behaviour.diversity.distinct_2": "distinct word pairs within prompts",
    "behaviour.diversity.self_similarity": "similarity of a prompt's samples",
    "behaviour.diversity.loops": "share of looping texts",
    "behaviour.diversity.template_mass_4": "share of the commonest 4-word opening",
    "behaviour.diversity.template_mass_8": "share of the commonest 8-word opening",
    "behaviour.diversity.template_mass_16": "share of the commonest 16-word opening",
    "behaviour.diversity.across.distinct_2": "distinct word pairs across prompts",
    "behaviour.diversity.across.self_similarity": "similarity of answers to different prompts",
    "behaviour.diversity.meaning": "distance of meaning within prompts",
    "behaviour.diversity.across.meaning": "distance of meaning across prompts",
}
"""What the rule on diversity asks, with the names its findings use; the other metrics describe."""
DECISIVE = frozenset(DECIDING)

OMNIBUS = (
    MetricSpec(
        id="behaviour.omnibus.mmd",
        summary="Squared maximum mean discrepancy of a prompt's samples between the sides (Hamming kernel on the first "
        "words), averaged over prompts; around 0 where nothing changed",
        direction="higher_is_more_change",
    ),
    MetricSpec(
        id="behaviour.omnibus.auroc",
        summary="How well a classifier that never saw the prompt tells trained's answer from base's: 0.5 is chance",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.omnibus.auroc_without_length",
        summary="The same with the length of the answers taken out of its features",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
)
RULES = (
    RuleSpec(
        id="behaviour.diversity_shift",
        summary="Whether answers are more or less varied after training, within prompts or across them",
        help="Read the samples side by side. A fall is collapse only if quality does not explain it: compare pass@k "
        "and the entropy of answers. Within prompts it takes at least 2 samples of each.",
        level="note",
        metrics=("behaviour.diversity.template_mass_8", "behaviour.diversity.self_similarity"),
    ),
    RuleSpec(
        id="behaviour.any_shift",
        summary="Whether anything at all about the answers changed, and what tells the sides apart",
        help="The features name what to look at. If no other rule names the change, read the pairs of answers: it is "
        "something that no analyzer looks for.",
        level="note",
        metrics=("behaviour.omnibus.mmd", "behaviour.omnibus.auroc"),
    ),
)

ANALYZERS: tuple[AnalyzerSpec, ...] = (
    AnalyzerSpec(
        name="behaviour.diversity",
        summary="How varied answers are within prompts and across them, at a fixed budget of words",
        needs=(GenerationNeed(),),
        metrics=DIVERSITY,
        factory="afterburn_behaviour.diversity:Diversity",
        options=DiversityOptions,
    ),
    AnalyzerSpec(
        name="behaviour.omnibus",
        summary="Whether anything changed in the answers, by two tests that need no idea of what to look for",
        needs=(GenerationNeed(),),
        metrics=OMNIBUS,
        factory="afterburn_behaviour.omnibus:Omnibus",
        options=OmnibusOptions,
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="behaviour.variety_judge",
        summary="Says whether diversity shifted, and whether anything at all changed",
        rules=RULES,
        factory="afterburn_behaviour.variety_judge:VarietyJudge",
        options=VarietyRules,
    ),
)
