"""Scripts and languages of a text. Pure Python.

The script of most letters decides; among languages in Latin letters, and among those in Cyrillic, function words do:
the language whose function words cover most of the text, if they cover at least a tenth of it and no other language's
cover as much. Texts with fewer than `FEWEST` letters, or without enough function words, have no known language.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from afterburn_behaviour.style.names import LANGUAGES
from afterburn_behaviour.text import prose_of, split_thinking, words

__all__ = ["LANGUAGES", "asks_for_language", "language", "language_of_words", "script_shares"]
FEWEST = 12
SCRIPTS = ("latin", "cyrillic", "greek", "han", "kana", "hangul", "arabic", "hebrew", "devanagari", "thai", "other")
_FUNCTION: Mapping[str, frozenset[str]] = {
    language: frozenset(listed.split())
    for language, listed in {
        "en": "the of and to in is that it for was with as on are be this by at from have not or an they which you but "
        "his her had were can will there their what if would about when i we he she your my do does",
        "de": "der die das und ist in zu den mit nicht von ein eine auf für im sich des dem auch es an als wie aus bei "
        "oder sind werden wird einen einer durch nach kann ich sie er wir haben hat dass aber noch nur",
        "fr": "le la les de des du et est un une dans que qui pour pas sur au aux avec ce cette il elle nous vous ils "
        "sont par plus ne se ou mais être avoir leur son sa ses comme fait peut je en à",
        "es": "el la los las de del y es un una en que por para con no se su al lo como más pero sus le ya o este esta "
        "son ser está entre cuando muy sin sobre también hay me si puede qué yo",
        "it": "il lo la gli le di del della dei delle e è un una in che per con non si su come più ma anche sono nel "
        "nella questo questa al alla da dal se ha hanno essere può ci io",
        "pt": "o a os as de do da dos das e é um uma em que por para com não se no na nos nas como mais mas ao à são "
        "seu sua ou quando muito já também pelo pela isso ele ela eu você está",
        "nl": "de het een en van is in dat op te voor met niet zijn aan er om ook als maar bij of door naar wordt "
        "deze dit je ik hij wij we ze kan uit nog over heeft hebben was",
        "sv": "och att det är en ett som på av för med inte den till har de i om var jag vi du kan från så men eller "
        "ett vid när hur ska blir också finns mycket",
        "da": "og at det er en et som på af for med ikke den til har de i om var jeg vi du kan fra så men eller ved "
        "hvordan skal bliver også findes meget",
        "pl": "i w na z do nie się to jest że o jak za po od przez dla są ale czy tak już tylko co go jego może być "
        "który która które także",
        "tr": "ve bir bu da de için ile olarak çok daha ne gibi kadar ama var olan sonra her en o ben sen biz değil mi "
        "olduğu ancak veya",
        "id": "yang dan di ke dari untuk dengan pada ini itu tidak adalah dalam akan atau juga sebagai oleh dapat ada "
        "saya anda kita mereka bisa lebih karena",
        "ru": "и в не на что с по это как а но к у за из от о же для бы или его так все она он они мы вы я есть может "
        "быть был при",
        "uk": "і в не на що з та це як а але до у за із від про для або його так все вона він вони ми ви я є може бути "
        "був при й",
    }.items()
}
_CYRILLIC = frozenset({"ru", "uk"})
_SPEAKERS: dict[str, tuple[str, ...]] = {}
for _language, _listed in _FUNCTION.items():
    for _word in _listed:
        _SPEAKERS[_word] = (*_SPEAKERS.get(_word, ()), _language)
_BY_SCRIPT = {
    "greek": "el",
    "han": "zh",
    "hangul": "ko",
    "arabic": "ar",
    "hebrew": "he",
    "devanagari": "hi",
    "thai": "th",
}
_BLOCKS = (
    (0x0370, 0x03FF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x077F, "arabic"),
    (0x08A0, 0x08FF, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0E00, 0x0E7F, "thai"),
    (0x1100, 0x11FF, "hangul"),
    (0x1F00, 0x1FFF, "greek"),
    (0x3040, 0x30FF, "kana"),
    (0x31F0, 0x31FF, "kana"),
    (0x3400, 0x4DBF, "han"),
    (0x4E00, 0x9FFF, "han"),
    (0xAC00, 0xD7AF, "hangul"),
    (0xF900, 0xFAFF, "han"),
    (0xFB50, 0xFDFF, "arabic"),
    (0xFE70, 0xFEFF, "arabic"),
    (0x20000, 0x3FFFF, "han"),
)
_NAMED = re.compile(
    r"\b(?:translat\w*|in (?:english|german|french|spanish|italian|portuguese|dutch|swedish|danish|polish|turkish"
    r"|indonesian|russian|ukrainian|greek|chinese|mandarin"
    r"|japanese|korean|arabic|hebrew|hindi|thai|latin|another language)|übersetz\w*|auf (?:deutsch|englisch)"
    r"|tradu\w+|en (?:anglais|français|español|inglés))\b"
    r"|翻译|翻譯|译成|翻訳|번역|перевед|переклад",
    re.I,
)


def script_shares(text: str) -> dict[str, float]:
    """Share of each script among the letters; empty where there are none."""
    found: dict[str, int] = {}
    for character, n in Counter(text).items():
        if character.isalpha():
            name = _script(character)
            found[name] = found.get(name, 0) + n
    total = sum(found.values())
    return {name: n / total for name, n in found.items()}


def language(text: str) -> str | None:
    """ISO 639-1 code of the language most of a text is in, of `LANGUAGES`; `None` where it cannot be told."""
    prose = prose_of(split_thinking(text).answer)
    letters = sum(character.isalpha() for character in prose)
    shares = script_shares(prose)
    # ideographs and syllables carry as much as several letters of an alphabet
    dense = sum(shares.get(name, 0.0) for name in ("han", "kana", "hangul"))
    if not shares or letters * (1 + 3 * dense) < FEWEST:
        return None
    if shares.get("kana", 0.0) > 0.1 and shares["kana"] + shares.get("han", 0.0) > 0.4:
        return "ja"
    script = max(sorted(shares), key=lambda name: shares[name])
    if script in _BY_SCRIPT:
        return _BY_SCRIPT[script]
    if script not in {"latin", "cyrillic"}:
        return None
    return language_of_words([word.lower() for word in words(prose)], cyrillic=script == "cyrillic")


def language_of_words(spoken: Sequence[str], *, cyrillic: bool = False) -> str | None:
    """The language, of those in Latin or in Cyrillic letters, whose function words cover most of these words.

    Args:
        spoken: words in lower case.
        cyrillic: in which letters they are.
    """
    cover = {name: 0 for name in _FUNCTION if (name in _CYRILLIC) == cyrillic}
    for word in spoken:
        for name in _SPEAKERS.get(word, ()):
            if name in cover:
                cover[name] += 1
    ranked = sorted(cover, key=lambda name: (-cover[name], name))
    first, second = ranked[0], ranked[1]
    if cover[first] == cover[second] or cover[first] < max(2, len(spoken) / 10):
        return None
    return first


def asks_for_language(prompt: str) -> bool:
    """Whether a prompt names a language to answer in, or asks for a translation."""
    return bool(_NAMED.search(prompt))


def _script(character: str) -> str:
    code = ord(character)
    if code < 0x250 or 0x1E00 <= code <= 0x1EFF or 0xFF21 <= code <= 0xFF5A:
        return "latin"
    for low, high, name in _BLOCKS:
        if low <= code <= high:
            return name
    return "latin" if unicodedata.name(character, "").startswith("LATIN") else "other"
