"""Controls as the user names them: nulls and benign twins that are evaluated beside the trained model.

- `resample[:n]`: the base again under n other seeds; of recorded outputs, n random halves of its samples against the
  other halves.
- `matched[:n]`: n random changes of the base with the trained change's norm and singular values in every module.
- `scrambled[:n]`: n times the trained change with the rows and columns of every module permuted.
- `rounding`: the base, rounded.
- anything else is a model: a fine-tune of the same base that did not learn what is looked for.

What each answers, and how many are needed: docs/controls.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import attrs

from afterburn_core.errors import ConfigError, SubjectError
from afterburn_core.plugin.registry import suggestion
from afterburn_core.run.references import SubjectReference, parse_reference
from afterburn_core.run.seeds import child_seed

Kind = Literal["resample", "matched", "scrambled", "rounding", "given"]
GENERATED: tuple[Kind, ...] = ("resample", "matched", "scrambled", "rounding")
DEFAULT = 19
"""Controls of a kind where no number is named: the fewest that can give p = .05."""
_COUNTED = re.compile(r"(?P<kind>[A-Za-z_-]+)(:(?P<n>.*))?")
_WORDS: Mapping[Kind, tuple[str, str]] = {
    "resample": ("resample of the base", "resamples of the base"),
    "matched": ("matched random change", "matched random changes"),
    "scrambled": ("scrambled change", "scrambled changes"),
    "rounding": ("rounding of the base", "roundings of the base"),
    "given": ("given control", "given controls"),
}


@attrs.frozen(kw_only=True)
class Control:
    """One control."""

    id: str
    """Of the subject: `control:matched:3`."""
    kind: Kind
    number: int
    """Among those of its kind, from 0."""
    seed: int | None = None
    """Of what is drawn; `None` for models that the user gave."""
    reference: SubjectReference | None = None
    """Of a model that the user gave."""

    @property
    def label(self) -> str:
        """What reports call it."""
        return self.reference.label if self.reference is not None else f"{self.kind} {self.number + 1}"


def parse_controls(texts: Sequence[str], seed: int) -> tuple[Control, ...]:
    """The controls that `--control` names, in its order, one by one.

    Args:
        texts: as the user wrote them.
        seed: of the run.

    Raises:
        ConfigError: a kind or its number is not valid, or something is named twice.
        SubjectError: a model is not named rightly.
    """
    found: list[Control] = []
    seen: set[str] = set()
    for text in texts:
        made = _generated(text, seed) or (_given(text, sum(control.kind == "given" for control in found)),)
        name = made[0].kind if made[0].reference is None else made[0].reference.text
        if name in seen:
            raise ConfigError(f"control {name!r} is named twice; name it once, with the number of controls")
        seen.add(name)
        found += made
    return tuple(found)


def of_kind(controls: Sequence[Control]) -> dict[Kind, tuple[Control, ...]]:
    """The controls by kind, kinds in the order in which they were named."""
    kinds = dict.fromkeys(control.kind for control in controls)
    return {kind: tuple(control for control in controls if control.kind == kind) for kind in kinds}


def words(kind: Kind, n: int) -> str:
    """`19 matched random changes`."""
    one, several = _WORDS[kind]
    return f"{n} {one if n == 1 else several}"


def _generated(text: str, seed: int) -> tuple[Control, ...] | None:
    match = _COUNTED.fullmatch(text)
    kind = next((kind for kind in GENERATED if match and kind == match["kind"]), None)
    if match is None or kind is None:
        return None
    number = match["n"]
    if kind == "rounding":
        if number is not None:
            raise ConfigError(f"control {text!r}: the base is rounded in one way; write rounding alone")
        count = 1
    elif number is None:
        count = DEFAULT
    elif not re.fullmatch(r"[0-9]{1,5}", number) or int(number) < 1:
        raise ConfigError(f"control {text!r}: the number of controls must be at least 1, such as {kind}:{DEFAULT}")
    else:
        count = int(number)
    return tuple(
        Control(id=f"control:{kind}:{k}", kind=kind, number=k, seed=child_seed(seed, f"control/{kind}/{k}"))
        for k in range(count)
    )


def _given(text: str, number: int) -> Control:
    try:
        reference = parse_reference(text)
    except SubjectError as error:
        if _COUNTED.fullmatch(text) is None or text.partition(":")[0] in {"recorded", "api"} or Path(text).suffix:
            raise
        near = suggestion(text.partition(":")[0], GENERATED)
        raise ConfigError(
            f"control {text!r}: neither a kind ({', '.join(GENERATED)}) nor a model that exists{near}"
        ) from error
    return Control(id=f"control:given:{number}", kind="given", number=number, reference=reference)
