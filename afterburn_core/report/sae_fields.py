"""Fields of an artifact that a stranger may have written, each read as what it has to be or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from afterburn_core.report.attachments import Unusable
from afterburn_core.report.sae_values import Estimate

Value = TypeVar("Value")
LONGEST = 4000
"""Characters kept of any text."""
_LARGEST = 1e300


@attrs.frozen
class Field:
    """One value of a JSON document and where it stands, such as `features[3].base`."""

    value: Any
    where: str

    def __getitem__(self, key: str) -> Field:
        """A field of an object; one that is absent holds `None`.

        Raises:
            Unusable: this is no object.
        """
        if not isinstance(self.value, Mapping):
            raise self._not("an object")
        return Field(self.value.get(key), f"{self.where}.{key}" if self.where else key)

    def items(self, most: int | None = None) -> list[Field]:
        """The entries of a list, at most so many of them."""
        if not isinstance(self.value, list):
            raise self._not("a list")
        return [Field(one, f"{self.where}[{k}]") for k, one in enumerate(self.value[:most])]

    def some(self, most: int | None = None) -> list[Field]:
        """`items`, of which there are none where the field is absent."""
        return [] if self.value is None else self.items(most)

    def text(self) -> str:
        """A string, cut where it is endless; half a pair of surrogates becomes a question mark."""
        if not isinstance(self.value, str):
            raise self._not("a text")
        clean = self.value.encode("utf-8", "replace").decode()
        return clean if len(clean) <= LONGEST else f"{clean[:LONGEST]}…"

    def number(self) -> float:
        """A finite number."""
        good = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not good or not abs(self.value) < _LARGEST:
            raise self._not("a finite number")
        return float(self.value)

    def whole(self) -> int:
        """A whole number that is not negative."""
        number = self.number()
        if number < 0 or number != int(number):
            raise self._not("a whole number")
        return int(number)

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self._not("true or false")
        return self.value

    def word(self, *known: str) -> str:
        """One of these words."""
        if self.value not in known or not isinstance(self.value, str):
            raise self._not(" or ".join(f"`{one}`" for one in known))
        return self.value

    def maybe(self, read: Callable[[Field], Value]) -> Value | None:
        """What `read` makes of it; `None` where it is null or absent."""
        return None if self.value is None else read(self)

    def refused(self, why: str) -> Unusable:
        """The error that says what is wrong with this field."""
        return Unusable(f"{self.where or 'the file'} {why}")

    def _not(self, what: str) -> Unusable:
        return self.refused(f"is not {what}")


def _estimate(field: Field) -> Estimate:
    """A number alone, or an object of value, low, high and n."""
    if not isinstance(field.value, dict):
        return Estimate(value=field.number())
    low, high = (field[end].maybe(Field.number) for end in ("low", "high"))
    return Estimate(value=field["value"].number(), low=low, high=high, n=field["n"].maybe(Field.whole))


def sides(field: Field) -> tuple[Estimate | None, Estimate | None]:
    """Both sides' estimates, as far as they are there."""
    if field.value is None:
        return None, None
    base, trained = (known(field[side]) for side in ("base", "trained"))
    return base, trained


def known(field: Field) -> Estimate | None:
    """An estimate; `None` where it is null, or an object whose value is."""
    empty = isinstance(field.value, dict) and field.value.get("value") is None
    return None if empty else field.maybe(_estimate)
