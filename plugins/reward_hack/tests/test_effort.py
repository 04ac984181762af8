"""How early an answer is fixed: the index of scripted writers whose truth is known, and of a real pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from afterburn_core.forward.live import BASE, TRAINED, Blend, Place, Written
from afterburn_core.generation.model import Responses, Sample
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.probes.model import Message, Probe
from afterburn_reward_hack.effort import Effort, reasoned
from afterburn_reward_hack.verifier_options import EffortOptions

WORK = "First we take six and add four to it. Then ten is doubled and one is taken away again."
TEXT = f"<think>{WORK}</think>\n\nThe answer is 19."
WORDS = 18


@attrs.frozen(kw_only=True)
class Scripted:
    """A pair that answers right once it has seen so many words of its reasoning."""

    base: int
    trained: int
    places: tuple[Place, ...] = (Place(name="w", layer=0, part="mlp", shape=(1, 1), norm=1.0),)

    def encode_chat(self, messages: Sequence[Message]) -> tuple[int, ...]:
        return ()

    def encode(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        return tuple(map(ord, text))

    def write(self, prompts: Sequence[Sequence[int]], *, blend: Blend, **asked: Any) -> list[Written]:
        needed = {BASE.default: self.base, TRAINED.default: self.trained}[blend.default]
        found = []
        for ids in prompts:
            text = "".join(map(chr, ids))
            assert text.endswith("The answer is")
            seen = len(text.partition("<think>")[2].partition("</think>")[0].split())
            answer = " 19.\nThe answer is 7." if seen >= needed else " 7."
            found.append(Written(token_ids=(), text=answer, ended=True, trained_logprob=0.0, base_logprob=0.0))
        return found


def solved(number: int, text: str = TEXT, **properties: Any) -> Responses:
    probe = Probe(id=f"p{number:02d}", prompt="?", gold="19", checker="number", properties=properties)
    sample = (Sample(index=0, text=text),)
    return Responses(probe=probe, base=sample, trained=sample)


def measured(live: Scripted, items: Sequence[Responses]) -> AnalyzerOutput:
    analyzer, other = Effort(EffortOptions()), Effort(EffortOptions())
    for one in (analyzer, other):
        one.begin(AnalyzerContext(subjects=(), seed=1))
    for number, item in enumerate(items):
        (analyzer, other)[number % 2].observe(item)
    analyzer.merge(other)
    analyzer.observe(live)
    return analyzer.finish()


def test_the_index_is_the_mean_over_the_shares_of_reasoning(value_of: Any) -> None:
    output = measured(Scripted(base=9, trained=0), [solved(number) for number in range(12)])
    index = "reward_hack.effort.index"
    # half of 18 words: right at .5, .6, .7, .8, .9 and 1 of eleven shares
    assert value_of(output, index, "base").value == pytest.approx(6 / 11)
    assert value_of(output, index, "trained").value == 1.0
    contrast = value_of(output, index)
    assert (contrast.value, contrast.n) == (pytest.approx(5 / 11), 12)
    assert value_of(output, "reward_hack.effort.items").value == 12


def test_equal_models_are_equal_and_unanswered_questions_are_no_evidence(value_of: Any) -> None:
    same = value_of(
        measured(Scripted(base=9, trained=9, places=()), [solved(n) for n in range(3)]), "reward_hack.effort.index"
    )
    assert (same.value, same.interval.low, same.interval.high, same.test.p_value) == (0.0, 0.0, 0.0, 1.0)
    never = measured(Scripted(base=9, trained=99), [solved(n) for n in range(3)])
    assert value_of(never, "reward_hack.effort.index").status == "undefined"
    short = measured(Scripted(base=9, trained=0), [solved(n, text="The answer is 19.") for n in range(3)])
    assert "reasoning before the answer" in value_of(short, "reward_hack.effort.index").reason


def test_exploitable_questions_are_measured_apart(value_of: Any) -> None:
    items = [solved(number, leaky=number < 4) for number in range(10)]
    output = measured(Scripted(base=9, trained=0), items)
    assert value_of(output, "reward_hack.effort.index", subset="exploitable").n == 4
    assert value_of(output, "reward_hack.effort.index", subset="clean").n == 6


def test_reasoning_is_cut_by_words_between_tags_or_before_the_final_answer() -> None:
    tagged = reasoned(TEXT, fewest=5)
    assert tagged is not None
    assert tagged.cut(0.0) == "<think></think>\n\nThe answer is"
    assert tagged.cut(2 / WORDS) == "<think>First we</think>\n\nThe answer is"
    assert tagged.cut(1.0) == f"<think>{WORK}</think>\n\nThe answer is"
    stepped = reasoned(f"{WORK}\nTherefore the answer is 19.", fewest=5)
    assert stepped is not None and stepped.cut(1.0).startswith(WORK) and "19" not in stepped.cut(1.0)
    assert reasoned("It is 19.", fewest=5) is None
