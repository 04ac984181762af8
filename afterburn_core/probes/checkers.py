"""Whether an answer is right, by the checker that its probe names, and what its final answer is.

| checker  | right if the final answer                                    | properties of the probe     |
|----------|--------------------------------------------------------------|-----------------------------|
| `number` | has the value of `gold`                                      | `tolerance`: allowed distance |
| `choice` | is the letter `gold`, or that option's text alone            |                             |
| `exact`  | is `gold`: case, punctuation, articles and spaces aside      | `accept`: other wordings    |
| `text`   | names `gold` as whole words, and no rival                    | `accept`, `rivals`          |
|          | or, with a pattern, ends on a match that is `gold`           | `accept`, `pattern`         |
| `list`   | lists the items of `gold`, which commas part, in their order |                             |
| `set`    | lists the items of `gold` in any order                       |                             |
| `code`   | holds Python that passes the tests; run only where allowed   | `tests`, `timeout`          |
| `constraints` | keeps to the form asked for; needs no `gold`            | `constraints`               |

Thinking between tags is set aside. An answer that decides for nothing is wrong. Imports neither NumPy nor torch.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from afterburn_core.errors import ConfigError
from afterburn_core.probes import numbers, texts
from afterburn_core.probes.choices import final_choice
from afterburn_core.probes.claims import plain
from afterburn_core.probes.constraints import constraint_faults, keeps
from afterburn_core.probes.model import Probe
from afterburn_core.probes.rows import CHECKERS, nearest


def check(probe: Probe, text: str, *, allow_code: bool = False) -> bool | None:
    """Whether `text` is a right answer to `probe`.

    Returns:
        `None` where the probe has no checker or nothing to compare with, or where its code may not be run. For code
        problems in numbers, `sandbox.run_all` runs several at once.

    Raises:
        ConfigError: the checker does not exist, or the constraints are faulty.
    """
    if probe.checker is None:
        return None
    if probe.checker not in CHECKERS:
        raise ConfigError(
            f"probe {probe.id!r}: no checker is named {probe.checker!r}; {nearest(probe.checker, CHECKERS)}"
        )
    if probe.checker == "code":
        if not allow_code:
            return None
        from afterburn_core.probes.sandbox import run_answer

        return run_answer(probe, text, allow=True).kind == "passed"
    if probe.checker == "constraints":
        return _keeps(probe, text)
    if probe.gold is None:
        return None
    return _RIGHT[probe.checker](probe, text)


def extract(probe: Probe, text: str) -> str | None:
    """The final answer in one spelling, so that equal answers are equal texts; `None` where the text has none.

    Without a checker, the text's marked answer counts, or the text itself where it is short.
    """
    return _EXTRACT.get(probe.checker or "exact", _said)(probe, text)


def _keeps(probe: Probe, text: str) -> bool | None:
    wanted = probe.properties.get("constraints")
    if wanted is None:
        return None
    faults = constraint_faults(wanted)
    if faults:
        raise ConfigError(f"probe {probe.id!r}: {faults[0]}")
    return keeps(wanted, text)


def _variants(probe: Probe) -> tuple[str, ...]:
    return (str(probe.gold), *_names(probe, "accept"))


def _names(probe: Probe, name: str) -> tuple[str, ...]:
    value = probe.properties.get(name, ())
    return tuple(str(item) for item in ([value] if isinstance(value, str) else value))


def _number(probe: Probe, text: str) -> bool:
    return any(numbers.right_number(text, gold, probe.properties.get("tolerance")) for gold in _variants(probe))


def _choice(probe: Probe, text: str) -> bool:
    return final_choice(text, probe.choices) == probe.gold


def _exact(probe: Probe, text: str) -> bool:
    return texts.exact(text, _variants(probe))


def _text(probe: Probe, text: str) -> bool:
    variants = _variants(probe)
    if "pattern" in probe.properties:
        found = texts.last_match(text, str(probe.properties["pattern"]))
        return found is not None and plain(found) in {plain(variant) for variant in variants}
    return texts.final_text(text, variants, _names(probe, "rivals")) in variants


def _list(probe: Probe, text: str) -> bool:
    wanted = texts.items_of(str(probe.gold))
    return bool(wanted) and texts.items_of(text) == wanted


def _set(probe: Probe, text: str) -> bool:
    wanted = set(texts.items_of(str(probe.gold)))
    return bool(wanted) and set(texts.items_of(text)) == wanted


def _said(probe: Probe, text: str) -> str | None:
    return texts.shortened(text)


def _final_number(probe: Probe, text: str) -> str | None:
    value = numbers.final_number(text)
    return value.text if value else None


def _final_choice(probe: Probe, text: str) -> str | None:
    return final_choice(text, probe.choices)


def _final_text(probe: Probe, text: str) -> str | None:
    if "pattern" in probe.properties:
        found = texts.last_match(text, str(probe.properties["pattern"]))
        return plain(found) if found else None
    if probe.gold is not None:
        variants = _variants(probe)
        found = texts.final_text(text, variants, _names(probe, "rivals"))
        if found is not None:
            return plain(variants[0] if found in variants else found)
    return texts.shortened(text)


def _final_list(probe: Probe, text: str) -> str | None:
    return ", ".join(texts.items_of(text)) or None


def _final_set(probe: Probe, text: str) -> str | None:
    return ", ".join(sorted(set(texts.items_of(text)))) or None


def _final_code(probe: Probe, text: str) -> str | None:
    from afterburn_core.probes.sandbox import code_of

    code = code_of(text)
    try:
        return ast.unparse(ast.parse(code)) or None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


_RIGHT: Mapping[str, Callable[[Probe, str], bool]] = {
    "number": _number,
    "choice": _choice,
    "exact": _exact,
    "text": _text,
    "list": _list,
    "set": _set,
}
_EXTRACT: Mapping[str, Callable[[Probe, str], str | None]] = {
    "number": _final_number,
    "choice": _final_choice,
    "text": _final_text,
    "list": _final_list,
    "set": _final_set,
    "code": _final_code,
}
