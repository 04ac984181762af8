"""Hedges, self-reference, languages and shared wording."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from afterburn_behaviour.boilerplate import grams, joint_shares, shared_shares
from afterburn_behaviour.hedging import disclaims, hedges, names_itself
from afterburn_behaviour.language import asks_for_language, language, script_shares
from afterburn_core.stats.paired import paired_contrast


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("It may rain.", 1),
        ("We met in May 2020, early May.", 0),
        ("Could you pass the salt?", 0),
        ("Perhaps it is probably so.", 2),
        ("I think it seems fine.", 2),
        ("This is certain.", 0),
        ("A kind man of that sort.", 0),
        ("It is a kind of bird.", 1),
    ],
)
def test_hedges(text: str, n: int) -> None:
    assert hedges(text) == n


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("As an AI language model, I cannot feel.", True),
        ("I'm just a chatbot.", True),
        ("The AI model won the match.", False),
        ("He works as an artist.", False),
    ],
)
def test_self_reference(text: str, says: bool) -> None:
    assert names_itself(text) is says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Please consult a doctor before use.", True),
        ("It is important to note that prices vary.", True),
        ("This is not legal advice.", True),
        ("The doctor came at nine.", False),
        ("It is important to me.", False),
    ],
)
def test_disclaimers(text: str, says: bool) -> None:
    assert disclaims(text) is says


SPOKEN = {
    "en": "The boat is on the river and it was late when they came back.",
    "de": "Das Boot ist auf dem Fluss, und es war spät, als sie nicht mehr kamen.",
    "fr": "Le bateau est sur la rivière et il était tard quand ils sont venus avec nous.",
    "es": "El barco está en el río y era muy tarde cuando los niños no vinieron.",
    "it": "La barca è sul fiume e non era tardi quando sono venuti con il cane.",
    "pt": "O barco está no rio e não era tarde quando eles vieram com a sua mãe.",
    "nl": "De boot is op het water en het was niet te laat voor een wandeling.",
    "sv": "Båten är på sjön och det är inte för sent att gå med till ett hus.",
    "da": "Båden er ikke på søen, og det er for sent at gå af den, når jeg ved det.",
    "pl": "Łódź jest na rzece i nie było za późno, że to się stało tak jak już.",
    "tr": "Bu tekne çok eski ve bir kişi için daha iyi değil ama yine de var.",
    "id": "Perahu itu ada di sungai dan tidak akan pergi ke kota dengan mereka.",
    "ru": "Лодка на реке, и это было не так поздно, как он мне сказал.",
    "uk": "Човен на річці, і це було не так пізно, як він та вони сказали.",
    "el": "Η βάρκα είναι στο ποτάμι.",
    "zh": "船在河上，天色已经很晚了。",
    "ja": "船は川にあります。もう遅いです。",
    "ko": "배가 강에 있습니다. 너무 늦었어요.",
    "ar": "القارب في النهر والوقت متأخر.",
    "he": "הסירה בנהר והשעה מאוחרת.",
    "hi": "नाव नदी में है और देर हो गई है।",
    "th": "เรืออยู่ในแม่น้ำและดึกแล้ว",
}


@pytest.mark.parametrize(("name", "text"), SPOKEN.items())
def test_languages_are_told(name: str, text: str) -> None:
    assert language(text) == name


@pytest.mark.parametrize("text", ["", "42", "x = y + z", "Ok.", "Lorem ipsum dolor sit amet consectetur"])
def test_unknown_languages_are_not_guessed(text: str) -> None:
    assert language(text) is None


def test_code_has_no_language_of_its_own() -> None:
    assert language("```python\nfor x in the_list:\n    is_it_and_was = x\n```") is None


def test_scripts_are_shares_of_letters() -> None:
    assert script_shares("ab вг 12!") == {"latin": 0.5, "cyrillic": 0.5}
    assert script_shares("12!") == {}


@pytest.mark.parametrize(
    ("prompt", "names"),
    [("Answer in French.", True), ("Translate this.", True), ("Was ist das?", False), ("The French Revolution", False)],
)
def test_prompts_that_name_a_language(prompt: str, names: bool) -> None:
    assert asks_for_language(prompt) is names


def test_shared_wording_needs_three_prompts() -> None:
    text = "one two three four five six seven eight"
    assert shared_shares(["a", "b"], [[text], [text]]) == [(0.0,), (0.0,)]
    assert shared_shares(["a", "b", "c"], [[text], [text], [text, "short"]]) == [(1.0,), (1.0,), (1.0, None)]
    assert shared_shares(["a"], [[text, text, text]]) == [(0.0, 0.0, 0.0)]


def test_a_phrase_about_as_common_as_boilerplate_must_be_raises_no_alarm() -> None:
    """Equal sides that say a phrase in 2 % of their answers: with a list for each side, half are alarms."""
    phrase, alarms, apart = "as a careful helper i would like to", 0, 0
    prompts = ["?"] * 500
    for seed in range(14):
        rng = np.random.default_rng(seed)
        sides = [
            [[f"{phrase} w{i}" if said else f"nothing shared x{i} y{i} z{i} here is said by us"] for i, said in said_by]
            for said_by in (list(enumerate(rng.random(500) < 0.02)) for _ in range(2))
        ]
        base, trained = joint_shares(prompts, *sides)
        alarms += _p_value(base, trained, seed) <= 0.05
        apart += _p_value(shared_shares(prompts, sides[0]), shared_shares(prompts, sides[1]), seed) <= 0.05
    assert alarms <= 2 and apart >= 4


def _p_value(base: list[tuple[float | None, ...]], trained: list[tuple[float | None, ...]], seed: int) -> float:
    d = np.array(trained, dtype=float)[:, 0] - np.array(base, dtype=float)[:, 0]
    test = paired_contrast(d, seed=seed, resamples=199).test
    assert test is not None
    return test.p_value


def test_joint_wording_by_hand() -> None:
    text, other = "one two three four five six seven eight", "a b c d e f g h"
    base, trained = [[text], [text], [other], [other]], [[text], [other], [text], [other]]
    assert joint_shares(["?"] * 4, base, trained) == (
        [(1.0,), (1.0,), (1.0,), (1.0,)],
        [(1.0,), (1.0,), (1.0,), (1.0,)],
    )
    assert joint_shares([text, "?", "?", "?"], base, trained)[0][0] == (0.0,)  # the prompt's own words
    assert joint_shares(["?"] * 2, base[:2], trained[:2])[0] == [(0.0,), (0.0,)]


def test_grams_are_equal_in_every_process() -> None:
    text = "one two three four five six seven eight"
    code = f"from afterburn_behaviour.boilerplate import grams; print(grams({text!r}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == str(grams(text))
