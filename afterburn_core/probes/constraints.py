"""Whether an answer keeps to the form that its prompt asks for; the constraints are data in `properties.constraints`.

| kind         | kept where the answer                                        | parameters                |
|--------------|--------------------------------------------------------------|---------------------------|
| `words`      | has so many words                                            | `count`, or `min`, `max`  |
| `sentences`  | has so many sentences; a line ends one too                   | `count`, or `min`, `max`  |
| `paragraphs` | has so many blocks with blank lines between them             | `count`, or `min`, `max`  |
| `lines`      | has so many lines that are not blank                         | `count`, or `min`, `max`  |
| `bullets`    | has so many lines that start with `-`, `*`, `+` or `•`       | `count`, or `min`, `max`  |
| `numbered`   | has so many lines `1.`, `2.`, … in this order                | `count`, or `min`, `max`  |
| `bold`       | has so many `**words**`                                      | `count`, or `min`, `max`  |
| `parts`      | has so many non-empty parts between separators               | `separator`, and a number |
| `starts`     | starts with the text, case and surrounding marks aside       | `text`                    |
| `ends`       | ends with the text, case and surrounding marks aside         | `text`                    |
| `equals`     | is the text, one pair of quotes or a fence around it aside   | `text`                    |
| `lowercase`  | has letters, none of them a capital                          |                           |
| `uppercase`  | has letters, all of them capitals                            |                           |
| `without`    | has none of the characters                                   | `characters`              |
| `include`    | has each of the words, whole, so often                       | `words`, `times` (1)      |
| `exclude`    | has none of the words, whole                                 | `words`                   |
| `json`       | is a JSON object with exactly these keys, a fence aside      | `keys`                    |
| `language`   | is in the language, by its function words                    | `code`                    |

An answer is right if it keeps all of them; thinking between tags is set aside. Imports neither NumPy nor torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from afterburn_core.probes.claims import spoken
from afterburn_core.probes.languages import LANGUAGES, language_of
from afterburn_core.result.strict_json import show

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_STOP = re.compile(r"[.!?…]+[\"'”’)\]*_]*(?=\s|$)")
_ABBREVIATED = re.compile(r"(?:^|[\s(])(?:mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|no|[A-Z])\.$", re.I)
_FENCE = re.compile(r"```[^\n`]*\n(?P<inside>.*?)\n?```", re.S)
_BULLET = re.compile(r"^[ \t]*[-*+•][ \t]+(?=\S)", re.M)
_NUMBERED = re.compile(r"^[ \t]*(?:\*\*)?(\d{1,3})[.)](?:\*\*)?[ \t]+(?=\S)", re.M)
_MARKS = " \t\n\"'“”‘’*_`"


def keeps(constraints: Sequence[Mapping[str, Any]], text: str) -> bool:
    """Whether the answer keeps every constraint. They must be faultless (`constraint_faults`)."""
    return not broken(constraints, text)


def broken(constraints: Sequence[Mapping[str, Any]], text: str) -> list[str]:
    """The kinds of the constraints that the answer breaks, in their order; all of them where it is empty."""
    text = spoken(text)
    return [one["kind"] for one in constraints if not text or not _KINDS[one["kind"]][0](text, one)]


def constraint_faults(value: Any) -> list[str]:
    """What is wrong with `properties.constraints`, as `what; what to do`; empty where nothing is."""
    if not isinstance(value, (list, tuple)) or not value:
        return [f"constraints is {show(value)}; write a list of objects such as {{kind: words, max: 50}}"]
    return [f"constraints[{i}] {fault}" for i, one in enumerate(value) if (fault := _fault(one))]


def _fault(one: Any) -> str | None:
    if not isinstance(one, Mapping):
        return f"is {show(one)}; write an object with a kind"
    kind = one.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        return f"has the kind {show(kind)}; there are: {', '.join(_KINDS)}"
    wanted, optional = _KINDS[kind][1:]
    for name, given in one.items():
        if name != "kind" and name not in (*wanted, *optional):
            return f"has the parameter {name!r}; {kind} takes {', '.join((*wanted, *optional)) or 'none'}"
        if name != "kind" and not _GOOD[name](given):
            return f"has {name} = {show(given)}; {_WRITE[name]}"
    missing = [name for name in wanted if name not in one]
    if missing:
        return f"has no {missing[0]}; {kind} needs it"
    if "count" in optional and not any(name in one for name in _COUNTS):
        return "has no number; write count, min or max"
    return None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(x, str) and x.strip() for x in value)


def _says(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


_COUNTS = ("count", "min", "max")
_GOOD: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys((*_COUNTS, "times"), _whole),
    **dict.fromkeys(("words", "keys"), _texts),
    **dict.fromkeys(("text", "separator", "characters"), _says),
    "code": lambda value: isinstance(value, str) and value in LANGUAGES,
}
_WRITE: Mapping[str, str] = {
    **dict.fromkeys((*_COUNTS, "times"), "write a whole number from 0"),
    **dict.fromkeys(("words", "keys"), "write a list of texts"),
    **dict.fromkeys(("text", "separator", "characters"), "write a text"),
    "code": f"write one of {', '.join(LANGUAGES)}",
}


def _within(number: int, one: Mapping[str, Any]) -> bool:
    low, high = one.get("count", one.get("min", 0)), one.get("count", one.get("max"))
    return number >= low and (high is None or number <= high)


def _counted(count: Callable[[str], int]) -> Callable[[str, Mapping[str, Any]], bool]:
    return lambda text, one: _within(count(text), one)


def _sentences(text: str) -> int:
    found = 0
    for line in text.splitlines():
        line, start = _NUMBERED.sub("", _BULLET.sub("", line)).strip(), 0
        for stop in _STOP.finditer(line):
            if stop.group().startswith(".") and _ABBREVIATED.search(line[start : stop.start() + 1]):
                continue
            found += bool(_WORD.search(line[start : stop.end()]))
            start = stop.end()
        found += bool(_WORD.search(line[start:]))
    return found


def _paragraphs(text: str) -> int:
    return sum(bool(block.strip()) for block in re.split(r"\n[ \t]*\n", text))


def _numbered(text: str, one: Mapping[str, Any]) -> bool:
    numbers = [int(number) for number in _NUMBERED.findall(text)]
    return numbers == list(range(1, len(numbers) + 1)) and _within(len(numbers), one)


def _parts(text: str, one: Mapping[str, Any]) -> bool:
    parts = text.split(one["separator"])
    return all(part.strip() for part in parts) and _within(len(parts), one)


def _bare(text: str) -> str:
    return " ".join(text.casefold().replace("’", "'").split()).strip(_MARKS)


def _unwrapped(text: str) -> str:
    """The text inside one fence or one pair of quotes that surrounds it."""
    fenced = _FENCE.fullmatch(text.strip())
    text = fenced["inside"] if fenced else text.strip()
    pairs = ('"', '"'), ("'", "'"), ("“", "”"), ("`", "`")
    quoted = len(text) > 2 and (text[0], text[-1]) in pairs and text[0] not in text[1:-1]
    return text[1:-1].strip() if quoted else text.strip()


def _equals(text: str, one: Mapping[str, Any]) -> bool:
    return one["text"].strip() in (text.strip(), _unwrapped(text))


def _letters(text: str) -> str:
    return "".join(c for c in text if c.isalpha())


def _times(text: str, word: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", text.casefold()))


def _json(text: str, one: Mapping[str, Any]) -> bool:
    fenced = _FENCE.fullmatch(text.strip())
    try:
        value = json.loads(fenced["inside"] if fenced else text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and set(value) == set(one["keys"])


_Kept = Callable[[str, Mapping[str, Any]], bool]
_KINDS: Mapping[str, tuple[_Kept, tuple[str, ...], tuple[str, ...]]] = {
    # kind: whether it is kept, parameters it needs, parameters it may have
    "words": (_counted(lambda text: len(_WORD.findall(text))), (), _COUNTS),
    "sentences": (_counted(_sentences), (), _COUNTS),
    "paragraphs": (_counted(_paragraphs), (), _COUNTS),
    "lines": (_counted(lambda text: sum(bool(line.strip()) for line in text.splitlines())), (), _COUNTS),
    "bullets": (_counted(lambda text: len(_BULLET.findall(text))), (), _COUNTS),
    "numbered": (_numbered, (), _COUNTS),
    "bold": (_counted(lambda text: len(re.findall(r"\*\*(?=\S)[^*\n]+\*\*", text))), (), _COUNTS),
    "parts": (_parts, ("separator",), _COUNTS),
    "starts": (lambda text, one: _bare(text).startswith(_bare(one["text"])), ("text",), ()),
    "ends": (lambda text, one: _bare(text).endswith(_bare(one["text"])), ("text",), ()),
    "equals": (_equals, ("text",), ()),
    "lowercase": (lambda text, one: bool(_letters(text)) and text == text.lower(), (), ()),
    "uppercase": (lambda text, one: bool(_letters(text)) and text == text.upper(), (), ()),
    "without": (lambda text, one: not set(text) & set(one["characters"]), ("characters",), ()),
    "include": (
        lambda text, one: all(_times(text, word) >= one.get("times", 1) for word in one["words"]),
        ("words",),
        ("times",),
    ),
    "exclude": (lambda text, one: not any(_times(text, word) for word in one["words"]), ("words",), ()),
    "json": (_json, ("keys",), ()),
    "language": (lambda text, one: language_of(text) == one["code"], ("code",), ()),
}  # fmt: skip
KINDS = tuple(_KINDS)
