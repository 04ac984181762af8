"""How texts are written: length, format, strategy, reasoning, refusal, hedging, boilerplate, language, decoding."""

from __future__ import annotations

from afterburn_behaviour.style.names import LANGUAGES, PATTERNS, STRATEGIES
from afterburn_behaviour.style.options import LengthOptions, StyleOptions
from afterburn_core.plugin import AnalyzerSpec, DetectorSpec, GenerationNeed, MetricSpec, RuleSpec

NEEDS = (GenerationNeed(),)
_CONTRAST = "; each side's own value, and trained - base paired by prompt"


def _rate(metric: str, summary: str) -> MetricSpec:
    return MetricSpec(id=metric, summary=summary + _CONTRAST, low=-1.0, high=1.0)


def _mean(metric: str, summary: str, unit: str = "1") -> MetricSpec:
    return MetricSpec(id=metric, summary=summary + _CONTRAST, unit=unit)


_UNITS = {
    "tokens": "generated tokens up to the end mark, as recorded",
    "words": "words",
    "sentences": "sentences",
    "characters": "characters",
}
_STATISTICS = {
    "median": "Median of {}",
    "p10": "10th percentile of {}",
    "p25": "25th percentile of {}",
    "p75": "75th percentile of {}",
    "p90": "90th percentile of {}",
    "sd": "Standard deviation of {}",
    "skewness": "Skewness m3/m2^1.5 of {}",
    "kurtosis": "Excess kurtosis m4/m2² - 3 of {}",
}
_SHAPES = {"sd": 0.0, "skewness": None, "kurtosis": -2.0}
LENGTH = (
    MetricSpec(
        id="behaviour.length.log_ratio",
        summary="Mean over prompts of log(1 + trained length) - log(1 + base length), in tokens where both sides "
        "recorded them for every answer, else in words; exp of it is the ratio",
    ),
    MetricSpec(
        id="behaviour.length.words_log_ratio",
        summary="The same in words, where the main ratio is in tokens",
    ),
    MetricSpec(
        id="behaviour.length.restricted_log_ratio",
        summary="The same of min(length, c) at the common token limit c, where answers were cut",
    ),
    *(
        MetricSpec(id=f"behaviour.length.{unit}", summary=f"Mean over prompts of {told} per answer", unit=unit, low=0.0)
        for unit, told in _UNITS.items()
    ),
    *(
        MetricSpec(
            id=f"behaviour.length.{unit}.{name}",
            summary=summary.format(f"{told} per answer"),
            unit="1" if name in {"skewness", "kurtosis"} else unit,
            low=_SHAPES.get(name, 0.0),
        )
        for unit, told in _UNITS.items()
        for name, summary in _STATISTICS.items()
    ),
)
_PATTERN = {
    "header": "Markdown headers",
    "list": "a bullet list of at least two items",
    "numbered": "a numbered list or named steps, at least two",
    "bold": "bold text",
    "table": "a table",
    "code_block": "a fenced code block",
    "latex": "LaTeX",
    "emoji": "emoji",
    "exclamation": "an exclamation mark in prose",
    "link": "a link or URL",
    "affirmative_opener": "an opening such as Sure, Certainly, Great question",
    "thinking_tags": "thinking tags",
    "boxed": "a boxed answer",
    "final_answer": "a marker of the final answer",
    "hash_answer": "an answer after ####",
    "json": "a JSON object",
    "xml": "XML tags that are neither HTML nor thinking",
    "verification": "a statement that the own work is checked",
}
FORMAT = (
    *(_rate(f"behaviour.format.{name}", f"Share of answers with {_PATTERN[name]}") for name in PATTERNS),
    *(
        _mean(
            f"behaviour.format_density.{name}", f"Marks per 100 words of the pattern: {_PATTERN[name]}", "per 100 words"
        )
        for name in PATTERNS
    ),
    _mean("behaviour.format.entropy", "Entropy of the combinations of format patterns over prompts", "nats"),
)
STRATEGY = (
    *(
        _rate(f"behaviour.strategy.{name}", f"Share of answers whose strategy is {name.replace('_', ' ')}, by rules")
        for name in STRATEGIES
    ),
    _mean("behaviour.strategy.entropy", "Entropy of the strategies over prompts", "nats"),
    MetricSpec(
        id="behaviour.strategy.distance",
        summary="Total variation between the sides' shares of strategies, tested by swapping sides within prompts",
        direction="higher_is_more_change",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.strategy.dominant",
        summary="Largest share of a strategy on a side, named in the reason",
        low=0.0,
        high=1.0,
    ),
)
REASONING = (
    _mean("behaviour.reasoning.steps", "Steps of reasoning per answer", "steps"),
    _mean(
        "behaviour.reasoning.depth",
        "Longest run of sentences per answer each of which concludes or calculates",
        "sentences",
    ),
    _mean("behaviour.reasoning.self_correction", "Places per answer where the writer takes something back", "places"),
    _mean("behaviour.reasoning.verification", "Places per answer where the writer checks the own work", "places"),
    _rate("behaviour.reasoning.thinking", "Share of answers with thinking between tags"),
    _mean("behaviour.reasoning.thinking_words", "Words between thinking tags, of the answers that have them", "words"),
)
REFUSAL = (
    _rate("behaviour.refusal.rate", "Share of answers that refuse in full, by rules"),
    _rate("behaviour.refusal.partial", "Share of answers that refuse in part, by rules"),
    _rate("behaviour.refusal.human_rate", "Share of answers that refuse in full, by human labels of recorded rows"),
    _rate("behaviour.refusal.corrected", "Rate of full refusals corrected for the rules' errors (Rogan-Gladen)"),
    MetricSpec(
        id="behaviour.refusal.agreement",
        summary="Cohen's kappa between the rules and human labels of recorded rows, on full refusal",
        direction="higher_is_better",
        low=-1.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.refusal.true_positive_rate",
        summary="Share of the refusals by human labels that the rules find",
        direction="higher_is_better",
        low=0.0,
        high=1.0,
    ),
    MetricSpec(
        id="behaviour.refusal.false_positive_rate",
        summary="Share of the other answers by human labels that the rules take for refusals",
        direction="lower_is_better",
        low=0.0,
        high=1.0,
    ),
)
HEDGING = (
    _mean("behaviour.hedging.density", "Hedges per 100 words of prose", "per 100 words"),
    _rate("behaviour.hedging.disclaimer", "Share of answers with a disclaimer or a referral to a professional"),
    _rate("behaviour.hedging.self_reference", "Share of answers that speak of their writer as a machine"),
)
BOILERPLATE = (
    _mean(
        "behaviour.boilerplate.share",
        "Share of an answer's words in 8-grams that the side's answers to at least max(3, 2 %) of the prompts hold",
    ),
)
LANGUAGE = (
    _rate("behaviour.language.switch", "Share of answers in another language than the prompt's, which names none"),
    _mean("behaviour.language.non_latin", "Share of letters that are not Latin"),
    _rate("behaviour.language.unknown", "Share of answers whose language cannot be told"),
    *(_rate(f"behaviour.language.{name}", f"Share of answers in the language {name}") for name in LANGUAGES),
)
DECODING = (
    MetricSpec(
        id="behaviour.decoding.differing",
        summary="Recorded facts of engine, template and decoding that differ between the sides, named in the reason",
        unit="facts",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="behaviour.decoding.noted",
        summary="Facts of the models that differ: tokenizer, context, chat template, named in the reason",
        unit="facts",
        direction="higher_is_more_change",
        low=0.0,
    ),
    MetricSpec(
        id="behaviour.decoding.unknown",
        summary="Facts that a side did not record, though the other did or they shape every text, named in the reason",
        unit="facts",
        low=0.0,
    ),
    _rate("behaviour.truncation.rate", "Share of answers cut at a token limit"),
    _rate("behaviour.empty.rate", "Share of answers without any text"),
    _rate("behaviour.answered.rate", "Share of prompts with an answer"),
)


def _analyzer(
    name: str, summary: str, metrics: tuple[MetricSpec, ...], factory: str, options: type | None = None
) -> AnalyzerSpec:
    return AnalyzerSpec(
        name=f"behaviour.{name}",
        summary=summary,
        needs=NEEDS,
        metrics=metrics,
        factory=f"afterburn_behaviour.style.{factory}",
        options=options,
    )


ANALYZERS: tuple[AnalyzerSpec, ...] = (
    _analyzer("length", "Length of answers and its change", LENGTH, "length:Length", LengthOptions),
    _analyzer("format", "Format patterns of answers, their density and variety", FORMAT, "formats:Format"),
    _analyzer(
        "strategy", "How answers go about their task, and whether one way took over", STRATEGY, "strategies:Strategies"
    ),
    _analyzer("reasoning", "Steps, depth, corrections and checks in answers", REASONING, "reasonings:ReasoningMarks"),
    _analyzer("refusal", "Refusals of unsafe and of safe prompts", REFUSAL, "refusals:Refusals"),
    _analyzer("hedging", "Hedges, disclaimers and mentions of being a machine", HEDGING, "wording:Hedging"),
    _analyzer("boilerplate", "Wording that comes back from prompt to prompt", BOILERPLATE, "wording:Boilerplate"),
    _analyzer("language", "Languages and scripts of answers", LANGUAGE, "wording:Language"),
    _analyzer(
        "decoding", "Whether both sides' texts came about in the same way", DECODING, "decoding:DecodingIdentity"
    ),
)
_READ = "Look at the pairs of answers"
RULES = (
    RuleSpec(
        id="behaviour.length_shift",
        summary="Whether answers became longer or shorter",
        help=f"{_READ}. Longer answers that are no better may be what the reward paid for; check decoding first.",
        level="note",
        metrics=("behaviour.length.log_ratio",),
    ),
    RuleSpec(
        id="behaviour.format_shift",
        summary="Whether answers use headers, lists, bold, emoji and other formats more or less often",
        help=f"{_READ}, and whether the prompts asked for the format: the unrequested part is the one to explain.",
        level="note",
        metrics=tuple(f"behaviour.format.{name}" for name in PATTERNS),
    ),
    RuleSpec(
        id="behaviour.strategy_shift",
        summary="Whether answers go about their tasks in another way, or all in the same",
        help=f"{_READ}. A strategy that took over may fit the training tasks and no others.",
        level="note",
        metrics=tuple(f"behaviour.strategy.{name}" for name in STRATEGIES),
    ),
    RuleSpec(
        id="behaviour.refusal_shift",
        summary="Whether more or fewer prompts are refused, unsafe and safe ones apart",
        help=f"{_READ}. Fewer refusals of unsafe prompts are lost safety, more of safe ones are over-refusal.",
        level="note",
        metrics=("behaviour.refusal.rate",),
    ),
    RuleSpec(
        id="behaviour.decoding_mismatch",
        summary="Whether both sides were asked in the same way",
        help="Ask both sides with the same engine, template, decoding parameters and token limit; another way of "
        "serving alone changes length as much as training does.",
        level="warning",
        metrics=("behaviour.decoding.differing",),
    ),
)
DETECTORS: tuple[DetectorSpec, ...] = (
    DetectorSpec(
        name="behaviour.style",
        summary="Says whether length, format, strategy and refusals shifted, and whether serving explains it",
        rules=RULES,
        factory="afterburn_behaviour.style.judge:StyleJudge",
        options=StyleOptions,
    ),
)
