"""How a response goes about its task: one label by rules. Pure Python.

In the order of precedence:

| label | evidence |
|---|---|
| `tool` | a call in the syntax of a tool: `<tool_call>`, JSON with a name and arguments, `Action:` with its input |
| `code` | solves by a program: a fenced block of code, or bare lines of code; data, logs, commands do not count |
| `self_verification` | checks its own work in so many words |
| `step_by_step` | numbers or names its steps, and they are steps: actions or calculations, not items |
| `chain_of_thought` | reasons: thinking tags, or two inferences at least and one in every five sentences |
| `direct` | none of these |

Known error rates on texts written for the purpose stand in `docs/behaviour.md`.
"""

from __future__ import annotations

import re
from typing import Literal

from afterburn_behaviour.text import prose_of, sentences, split_thinking
from afterburn_behaviour.verification import verifications

Strategy = Literal["direct", "step_by_step", "chain_of_thought", "code", "tool", "self_verification"]

_TOOL = re.compile(
    r"<tool_call>|<function(?:_call)?[=>\s]|<\|(?:python_tag|tool_call|tool_calls_begin)\|>|\[TOOL_CALLS\]"
    r"|<(?:search|browse|execute)>[^<]+</(?:search|browse|execute)>"
    r"|^[ \t]*Action:[ \t]*\S+.*\n+[ \t]*Action Input:"
    r'|\{\s*"(?:name|function|tool|tool_name)"\s*:\s*"[\w.\-]+"\s*,\s*"(?:arguments|parameters|args|input'
    r'|tool_input)"\s*:'
    r'|\{\s*"type"\s*:\s*"function"',
    re.M,
)
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.M | re.S)
_LISTED_LANGUAGES = (
    "python py python3 javascript js typescript ts java c cpp c++ cs csharp c# go golang rust rs ruby rb php "
    "swift kotlin scala r julia haskell lua perl sql matlab dart jsx tsx"
)
_LANGUAGES = frozenset(_LISTED_LANGUAGES.split())
_LISTED_DATA = (
    "json yaml yml toml xml html css csv text txt plaintext markdown md diff console output log math latex tex"
)
_DATA = frozenset(_LISTED_DATA.split())
_LISTED_SHELL = "bash sh shell zsh powershell cmd bat"
_SHELL = frozenset(_LISTED_SHELL.split())
_CODE_LINE = re.compile(
    r"^\s*(?:def \w+\s*\(.*\)\s*(?:->.*)?:|class \w+.*:\s*$|(?:from [\w.]+ )?import [\w.*, {}]+(?:;|$| from)"
    r"|#include\s*<"
    r"|(?:for|while|if|elif) .+:\s*$|(?:else|try|finally)\s*:\s*$|return\b(?! to\b)[^.]*;?$"
    r"|(?:public|private|static|void|int|float|double|char|bool|string|const|let|var|auto)\s+[\w<>\[\]*&]+.*[;{(]\s*$"
    r"|function \w*\s*\(.*\)\s*\{|[\w.\[\]'\"]+\s*[-+*/%]?=\s*[^=\s].*[;)\]\d'\"]?\s*$|print\(.*\)|console\.log\(.*\)"
    r"|[\w.]+\([^()]*\)\s*;?\s*$|\}\s*(?:else\s*\{)?;?\s*$|SELECT\b.+\bFROM\b.*|fn \w+\s*\(|\w+\s*=>\s*.+)",
)
_STRONG_LINE = re.compile(
    r"^\s*(?:def \w+\s*\(.*\)\s*(?:->.*)?:|import \w+\s*$|from [\w.]+ import \w+|#include\s*<"
    r"|function \w+\s*\(.*\)\s*\{"
    r"|print\(.*\)\s*$|console\.log\(.*\);?\s*$|for \w+ in .+:\s*$|fn \w+\s*\(|public (?:static|class)\b"
    r"|return \w.*;\s*$)"
)
_STEP_WORD = re.compile(r"^\W{0,8}(?:step|stage|phase)\s+(?:\d{1,2}|one|two|three|four|five)\b", re.I | re.M)
_STEP_LEAD = re.compile(r"\bstep[- ]by[- ]step\b|\b(?:follow|these|the following|here are the) steps\b", re.I)
_ITEM = re.compile(r"^[ \t]*(?:\*\*)?\(?\d{1,2}[.)](?:\*\*)?[ \t]+(?P<item>\S.*)$", re.M)
_LISTED_VERBS = (
    "add adjust apply arrange ask attach bake begin boil break bring brush build calculate call cancel change "
    "check choose chop clean click close collect combine compare complete compute configure connect convert "
    "cook copy count cover create cut decide define delete determine discard divide download drag drain draw "
    "drill enter estimate evaluate expand factor fill find finish fold format gather get give go grab heat "
    "hold identify insert inspect install isolate keep leave let lift list locate log loosen make mark "
    "measure melt mix move multiply navigate note observe open order pack paint peel pick place plan plug "
    "pour practice preheat prepare press pull push put read record reduce remove repeat replace restart "
    "rewrite rinse roll rotate run save screw search season select set shake sign simplify slice solve sort "
    "split spread sprinkle start stir stop store subtract substitute sum switch take tap test tie tighten "
    "transfer trim try turn type unplug update use verify wait wash whisk wipe work wrap write"
)
_VERBS = frozenset(_LISTED_VERBS.split())
_CALCULATION = re.compile(r"\d\s*[-+*/×÷^%]\s*[($€£]*\d[^=\n]{0,80}=|=\s*[-$€£]?\d|\d\s*=\s*\d")
_FIRST = re.compile(
    r"(?:^|[.!?:\n])\W{0,8}(?:first(?:ly)?|to (?:start|begin)|start by|begin by)\b,?(?! of all, i | place)", re.I
)
_NEXT = re.compile(r"(?:^|[.!?;\n])\W{0,8}(?:second(?:ly)?|third(?:ly)?|next|then|after (?:that|this|which)"
r"|afterwards|once (?:that|this)"
                   r"|finally|lastly|last)\b,?", re.I)  # fmt: skip
_INFERENCE = re.compile(
    r"(?:^|[,;:(]\s*|\b(?:and|but)\s+)(?:therefore|thus|hence|consequently|accordingly|it follows that|this (?:means"
    r"|implies|gives|leads to"
    r"|leaves|makes)|that (?:means|implies|gives|leaves|makes)|which (?:means|implies|gives|leaves|makes)|we (?:get"
    r"|have|obtain|know|conclude"
    r"|find|can (?:conclude|deduce|infer|see))|as a result|so)\b"
    r"|\b(?:therefore|thus|hence|consequently|it follows that|we (?:conclude|deduce|infer))\b"
    r"|^(?:because|since|given that|if|assuming)\b.+,|\bimplies\b|\bbecause\b",
    re.I,
)
_NO_INFERENCE = re.compile(
    r"\bso (?:much|many|far|on|that you|called|long|to speak|happy|sorry|glad|good|great)\b|\bthus far\b", re.I
)
_THINK_LEAD = re.compile(
    r"\blet(?:'|’)?s (?:think|reason|work) (?:about|through|this|it)\b|\blet me think\b|\bthinking (?:it"
    r"|this) through\b",
    re.I,
)


def strategy(text: str) -> Strategy:
    """The label of a response."""
    if _TOOL.search(text):
        return "tool"
    parts = split_thinking(text)
    if writes_code(parts.answer):
        return "code"
    prose = prose_of(parts.answer)
    if verifications(prose) or (parts.thinking and not prose.strip() and verifications(parts.thinking)):
        return "self_verification"
    if numbered_steps(prose) >= 2 or _in_sequence(prose):
        return "step_by_step"
    if parts.thinking or _THINK_LEAD.search(prose) or _reasons(prose):
        return "chain_of_thought"
    return "direct"


def writes_code(answer: str) -> bool:
    """Whether a response holds a program, fenced or not; prose about code, data and lone commands are none."""
    for match in _FENCE.finditer(answer):
        language, lines = match[2].lower(), [line for line in match[3].splitlines() if line.strip()]
        if language in _DATA or not lines:
            continue
        if language in _LANGUAGES:
            return True
        if language in _SHELL and len(lines) < 3:
            continue
        if sum(bool(_CODE_LINE.match(line)) for line in lines) >= max(1, len(lines) // 3) and _strong(lines):
            return True
    bare = [line for line in _FENCE.sub("\n", answer).splitlines() if line.strip()]
    like = sum(bool(_CODE_LINE.match(line)) for line in bare)
    return like >= 3 and 2 * like >= len(bare) and sum(bool(_STRONG_LINE.match(line)) for line in bare) >= 1


def _strong(lines: list[str]) -> bool:
    return (
        any(_STRONG_LINE.match(line) for line in lines)
        or sum(line.rstrip().endswith((";", "{", "}")) for line in lines) >= 2
    )


def numbered_steps(prose: str) -> int:
    """Steps that are named as steps, or numbered items that act or calculate; items of another list are none."""
    named = len(_STEP_WORD.findall(prose))
    items = [match["item"] for match in _ITEM.finditer(prose)]
    acting = sum(_acts(item) for item in items)
    if named >= 2:
        return max(named, acting)
    if items and _STEP_LEAD.search(prose):
        return len(items)
    return len(items) if 2 * acting > len(items) else 0


def _acts(item: str) -> bool:
    first = re.match(r"\W*([A-Za-z]+)(?:ing)?\b", item)
    if _CALCULATION.search(item):
        return True
    # a heading before a colon says what kind of list it is; the rest of the item explains
    return bool(first and first[1].lower() in _VERBS and len(item.split()) >= 2)


def _in_sequence(prose: str) -> bool:
    """First … then … finally: an opening and at least two that follow it."""
    opening = _FIRST.search(prose)
    return opening is not None and len(_NEXT.findall(prose, opening.end())) >= 2


def _reasons(prose: str) -> bool:
    """At least two inferences, and every fifth sentence one: a long tale has a `because` here and there."""
    found = inferences(prose)
    return found >= 2 and 5 * found >= len(sentences(prose))


def inferences(prose: str) -> int:
    """Sentences that draw on what was said: a connective of inference, or a calculation with its result."""
    return sum(infers(sentence) for sentence in sentences(prose))


def infers(sentence: str) -> bool:
    """Whether a sentence concludes or calculates."""
    plain = _NO_INFERENCE.sub(" ", sentence)
    return bool(_INFERENCE.search(plain) or _CALCULATION.search(sentence))
