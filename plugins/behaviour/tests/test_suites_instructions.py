"""The suite `instructions`: who reads the prompt alone can keep every constraint, and small slips break them."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from afterburn_behaviour.patterns import counts, requested
from afterburn_behaviour.style.names import PATTERNS
from afterburn_behaviour.suites.instruction_tasks import COPIES, LANGUAGES, QUESTIONS, RECORDS, SUBJECTS
from afterburn_behaviour.suites.instructions import DEFAULT, MOST, items
from afterburn_core.errors import ConfigError
from afterburn_core.probes.checkers import check
from afterburn_core.probes.constraints import KINDS, broken
from afterburn_core.probes.model import Probe, prompt_digest

NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
TRANSLATED = {
    "German": "Der Ort ist still, und die Leute sind nicht in Eile. Am Morgen hört man den Wind. Es ist kalt.",
    "Spanish": "El lugar es muy tranquilo y la gente no tiene prisa. Por la mañana se oye el viento. No hay ruido.",
    "French": "Le lieu est calme et les gens ne sont pas pressés. Le matin, on entend le vent. Il est là.",
    "Italian": "Il posto è molto tranquillo e la gente non ha fretta. Al mattino si sente il vento. È bello.",
    "Dutch": "De plek is stil en de mensen zijn niet gehaast. In de ochtend hoor je de wind. Het is er koud.",
    "Portuguese": "O lugar é muito calmo e as pessoas não têm pressa. De manhã há vento e também sol. Não há barulho.",
}


def quoted(prompt: str) -> list[str]:
    return re.findall(r'"([^"]+)"', prompt)


def number(prompt: str) -> int:
    return next(NUMBERS[word] for word in re.findall(r"[a-z]+", prompt) if word in NUMBERS)


def solved(prompt: str) -> str:
    """An answer by somebody who knows nothing but the prompt."""
    lower = prompt.lower()
    if "JSON" in prompt:
        keys = quoted(prompt)
        return json.dumps(dict.fromkeys(keys, "something"))
    if "Yes or No" in prompt:
        return next(right for question, right in QUESTIONS if question in prompt)
    if "\n" in prompt:
        return prompt.split("\n", 1)[1]
    for language, text in TRANSLATED.items():
        if language in prompt:
            return text
    if "hyphens" in lower or ("commas" in lower and "hyphen" not in lower) or " marks" in lower:
        return " ".join(["It is quiet here."] * number(lower))
    if "hyphen" in lower or '"- "' in prompt:
        return "\n".join(["- something small"] * number(lower))
    if "numbered" in lower or "1., 2." in prompt:
        return "\n".join(f"{i + 1}. Do it with care." for i in range(number(lower)))
    if "**bold**" in prompt:
        return "It is " + " and ".join(["**quiet**"] * number(lower)) + "."
    for mark in re.findall(r"[*=+]{5,}", prompt):
        return f"It is quiet.\n{mark}\nIt is cold."
    if "capital letters" in prompt:
        return "IT IS QUIET HERE. NOBODY COMES."
    if "small letters" in prompt:
        return "it is quiet here. nobody comes."
    if "paragraphs" in prompt:
        return "\n\n".join(["It is quiet. Nobody comes."] * number(lower))
    if "60 words" in lower and quoted(prompt):
        word, phrase = quoted(prompt)
        return f"One thinks of the {word}. {phrase}"
    limits = [int(digits) for digits in re.findall(r"\d+", prompt)]
    if limits:
        return " ".join(["quiet"] * max(limits)) + "."
    if "forbidden" in lower or "without the words" in lower:
        return "Nobody comes here. It is cold. One waits."
    if "start with" in lower or "begin with" in lower:
        return f"{quoted(prompt)[0]} somebody came."
    if "end with" in lower or "last words" in lower:
        return f"Nobody comes here. {quoted(prompt)[0]}"
    if quoted(prompt):
        return f"Think of {', '.join(quoted(prompt))}."
    return " ".join(["Nobody comes here."] * number(lower))


def test_whoever_reads_the_prompt_can_keep_its_constraints() -> None:
    for seed in range(3):
        for probe in items(seed, 320):
            answer = solved(str(probe.prompt))
            wanted = probe.properties["constraints"]
            assert check(probe, answer) is True, (probe.prompt, answer, broken(wanted, answer))
            assert check(probe, f"<think>How shall I say it?</think>\n{answer}") is True
            assert check(probe, "") is False
            careless = ("Cheese", f"I would rather talk about Cheese, cheese and {'more ' * 250}cheese!?")
            assert not all(check(probe, text) for text in careless), probe.prompt


def test_an_answer_to_another_number_or_word_is_wrong() -> None:
    for probe in items(0, None):
        answer, kind = solved(str(probe.prompt)), probe.properties["kind"]
        worse = {
            "bullets": f"{answer}\n- one more",
            "numbered": f"{answer}\n9. One more.",
            "sentences": f"{answer} One more.",
            "paragraphs": f"{answer}\n\nOne more.",
            "ends": f"{answer} I hope that helps.",
            "starts": f"Sure. {answer}",
            "json": f"Here it is: {answer}",
            "equals": f"{answer} Done",
            "lowercase": f"{answer} Yes.",
            "uppercase": f"{answer} yes.",
            "parts": answer.replace("It is cold.", ""),
            "bold": f"{answer} **More.**",
            "language": "It is quiet here, and the people are not in a hurry.",
        }
        if kind in worse:
            assert check(probe, worse[kind]) is False, (probe.prompt, worse[kind])
        for constraint in probe.properties["constraints"]:
            if constraint["kind"] == "without":
                assert check(probe, f"{answer} {constraint['characters']}") is False
            if constraint["kind"] == "exclude":
                assert all(check(probe, f"{answer} It has {word}.") is False for word in constraint["words"])
            if constraint["kind"] == "include" and kind != "words":
                assert all(check(probe, answer.replace(word, "x")) is False for word in constraint["words"])
            if constraint["kind"] == "words" and "count" in constraint:
                assert check(probe, "Yes and No") is False
                assert check(probe, {"Yes": "No", "No": "Yes"}[answer]) is False


def test_every_kind_of_constraint_but_lines_is_asked() -> None:
    asked = {one["kind"] for probe in items(0, 480) for one in probe.properties["constraints"]}
    assert asked == set(KINDS) - {"lines"}


def test_requests_name_the_patterns_that_a_good_answer_has() -> None:
    known = {*PATTERNS}
    for probe in items(0, 320):
        assert set(probe.requests) <= known
        found = counts(solved(str(probe.prompt)))
        for pattern in ("list", "numbered", "bold", "json"):
            assert requested(pattern, probe.requests) or not found[pattern], (probe.prompt, pattern)
            if pattern in probe.requests:
                assert found[pattern] >= 1, (probe.prompt, pattern)


def test_the_lists_are_sound() -> None:
    assert all(len(set(words)) == len(words) == 4 for words in SUBJECTS.values())
    assert all(not set(words) & set(re.findall(r"\w+", subject)) for subject, words in SUBJECTS.items())
    assert Counter(right for _, right in QUESTIONS) == {"Yes": 8, "No": 8}
    assert len(set(COPIES)) == len(COPIES) >= 400
    assert all(len(set(keys)) == len(keys) >= 3 for _, keys in RECORDS)
    assert set(LANGUAGES.values()) == set(TRANSLATED)


def test_probes_have_no_gold_and_categories_are_spread() -> None:
    probes: list[Probe] = list(items(0, None))
    assert len(probes) == DEFAULT == 128
    assert {probe.checker for probe in probes} == {"constraints"} and {probe.gold for probe in probes} == {None}
    spread = Counter(probe.category for probe in probes)
    assert len(spread) == 9 and max(spread.values()) == 3 * min(spread.values())


def test_a_seed_gives_fresh_items_and_a_smaller_set_is_the_beginning() -> None:
    first, other = list(items(0, 200)), list(items(1, 200))
    assert len({prompt_digest(p) for p in first} & {prompt_digest(p) for p in other}) <= 20
    assert list(items(0, 60)) == first[:60] == list(items(0, 60))


def test_more_than_there_are_is_refused() -> None:
    for seed in range(3):
        assert len({prompt_digest(probe) for probe in items(seed, MOST)}) == MOST
    with pytest.raises(ConfigError, match="suite 'instructions' has no more than 480 different items; ask for fewer"):
        items(0, MOST + 1)
