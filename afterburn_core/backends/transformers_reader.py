"""Reads batches with base, trained and nulls: the pair reader of transformers models.

- `adapter`: one model; the adapter is switched off for the base. Nulls are other factors in the adapter's place.
- `side_by_side`: two models; nulls are other values in the place of the trained one's (or, for rounding, the base's)
  parameters.
- `in_turn`: the base reads all batches first and is freed but for its head; what it read waits on disk. Exact, unless
  its head does not work on final states alone: then of every row's log-probabilities a sketch is kept, with a bound on
  the error that it makes.

The base reads every batch once, whatever the number of nulls that memory holds at once: any number of an adapter's,
whose factors are small; of a full fine-tune's as many as there is room for copies of its weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from afterburn_core.backends.transformers_controls import (
    Change,
    adapter_changes,
    adapter_parameters,
    control_of,
    paired_changes,
    rounded,
)
from afterburn_core.backends.transformers_in_turn import InTurn
from afterburn_core.backends.transformers_pairing import Arrangement, Pairing, pair
from afterburn_core.backends.transformers_residents import Grid, Resident, Stance
from afterburn_core.backends.transformers_spill import SKETCHED
from afterburn_core.errors import SubjectError
from afterburn_core.forward.reading import SideReading, Wanted
from afterburn_core.forward.rows import grid

if TYPE_CHECKING:
    from afterburn_core.backends.transformers_template import Mode
    from afterburn_core.forward.encoded import Packed
    from afterburn_core.generation.model import Serving, Template
    from afterburn_core.run.needs import Drawn
    from afterburn_core.run.progress import Progress
    from afterburn_core.run.subjects import OpenSubject


def open_reader(
    base: OpenSubject,
    trained: OpenSubject,
    *,
    serving: Serving,
    template: Template,
    wanted: Wanted,
    seed: int,
    arrangement: Arrangement | None = None,
    sketch: bool = False,
) -> TransformersReader:
    """A reader of the pair; see `forward.reading.Reads.pair_reader`.

    Args:
        base: the opened base.
        trained: the opened trained model.
        serving: device and dtype.
        template: how prompts are put.
        wanted: of every batch.
        seed: of the nulls.
        arrangement: forces one; `None` takes the cheapest that fits.
        sketch: in turn, keep sketches even where the base's head would do.

    Raises:
        SubjectError: the two cannot read the same tokens, or what is wanted cannot be compared.
    """
    settled = pair(base, trained, serving=serving, template=template, wanted=wanted, seed=seed, arrangement=arrangement)
    return TransformersReader(settled, sketch=sketch)


class TransformersReader:
    """See `forward.reading.PairReader`."""

    def __init__(self, pairing: Pairing, *, sketch: bool = False) -> None:
        self._pairing = pairing
        self._sketch = sketch
        self._residents: dict[str, Resident] = {}
        self._stances: dict[str, tuple[Resident, Stance]] = {}
        self._spilled: InTurn | None = None
        self._names: tuple[str, ...] = ()
        self._logits = False
        self._attention: str | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """See `PairReader.subjects`."""
        if self._pairing.only is not None:
            return (self._pairing.only,)
        return ("base", "trained", *(f"control:{kind}" for kind in self._pairing.controls))

    @property
    def drawn(self) -> tuple[str, ...]:
        """See `PairReader.drawn`."""
        return tuple(one.id for one in self._pairing.drawn)

    @property
    def waiting(self) -> tuple[Drawn, ...]:
        """See `PairReader.waiting`."""
        return self._pairing.waiting

    @property
    def tokenizer(self) -> Any:
        """See `PairReader.tokenizer`."""
        return self._pairing.tokenizer

    @property
    def mode(self) -> Mode:
        """See `PairReader.mode`."""
        return self._pairing.mode

    @property
    def device(self) -> str:
        """Where the tensors are."""
        return self._pairing.serving.device

    @property
    def layers(self) -> int:
        """Blocks of the base."""
        return self._pairing.base.shape[0]

    @property
    def vocabulary(self) -> int:
        """See `PairReader.vocabulary`."""
        return self._pairing.vocabulary

    @property
    def context(self) -> int | None:
        """See `PairReader.context`."""
        return self._pairing.context

    @property
    def arrangement(self) -> Arrangement:
        """See `PairReader.arrangement`."""
        return self._pairing.arrangement

    @property
    def properties(self) -> Mapping[str, Any]:
        """See `PairReader.properties`."""
        import transformers

        heads = [resident.head for resident in self._residents.values()]
        return {
            "engine": f"transformers {transformers.__version__}",
            "dtype": self._pairing.dtype,
            "device": self.device.split(":")[0],
            "arrangement": "alone" if self._pairing.only is not None else self.arrangement,
            "vocabulary": self.vocabulary,
            "attention": self._attention,
            "head": None if not self._logits else "on final states" if all(heads) else "whole model",
            "sketch": min(SKETCHED, self.vocabulary) if self._spilled is not None and self._spilled.sketched else None,
        }

    @property
    def notes(self) -> Sequence[str]:
        """See `PairReader.notes`."""
        if self._spilled is not None and self._spilled.sketched:
            told = (
                f"the models were read in turn and the base's head does not work on its final states alone: of each of "
                f"its distributions the {min(SKETCHED, self.vocabulary)} most probable tokens were kept"
            )
            return (*self._pairing.notes, told)
        return self._pairing.notes

    def prepare(self, batches: Sequence[Packed], wanted: Wanted, progress: Progress) -> None:
        """See `PairReader.prepare`.

        Raises:
            SubjectError: the weights cannot be loaded, a site is wanted that the network lacks, or the disk is full.
        """
        try:
            self._prepare(batches, wanted, progress)
        except BaseException:
            self.close()
            raise

    def _prepare(self, batches: Sequence[Packed], wanted: Wanted, progress: Progress) -> None:
        pairing = self._pairing
        self._logits = wanted.logits
        highest = max((index for batch in batches for one in batch.encoded for index in one.ids), default=0)
        if highest >= self.vocabulary:
            raise SubjectError(
                f"{pairing.trained.label}: a text has token id {highest}, and the models have weights for "
                f"{self.vocabulary}; save tokenizer and model together"
            )
        if pairing.only is not None:
            self._stances[pairing.only] = self._load(pairing.only, batches, wanted), Stance()
            return
        if pairing.arrangement == "in_turn":
            base = self._load("base", batches, wanted)
            self._spilled = InTurn(
                base,
                batches,
                self._names,
                vocabulary=self.vocabulary,
                logits=wanted.logits,
                sketch=self._sketch,
                progress=progress,
            )
            base.close()
            del base, self._residents["base"]
        trained = self._load("trained", batches, wanted)
        if pairing.arrangement == "adapter":
            self._stances["base"] = trained, Stance(adapted=False)
        elif pairing.arrangement == "side_by_side":
            self._stances["base"] = self._load("base", batches, wanted), Stance()
        self._stances["trained"] = trained, Stance()
        self._add_controls(trained)

    def _add_controls(self, trained: Resident) -> None:
        pairing = self._pairing
        nulls = [(f"control:{kind}", kind, pairing.seed) for kind in pairing.controls]
        nulls += [(one.id, one.kind, one.seed) for one in pairing.drawn]
        changes: Sequence[Change] | None = None
        for name, kind, seed in nulls:
            if kind == "rounding":
                held, stance = self._stances["base"]
                swaps = rounded(held.sites.network, seed, skip=adapter_parameters(held.model))
                self._stances[name] = held, Stance(adapted=stance.adapted, swaps=swaps)
                continue
            if changes is None and hasattr(trained.model, "peft_config"):
                changes = adapter_changes(trained.model)
            elif changes is None:
                changes = paired_changes(self._stances["base"][0].sites.network, trained.sites.network)
            self._stances[name] = trained, Stance(swaps=control_of(kind, changes, seed))

    def _load(self, name: str, batches: Sequence[Packed], wanted: Wanted) -> Resident:
        member = self._pairing.base if name == "base" else self._pairing.trained
        resident = Resident(lambda: member.load(self._pairing.serving), causal=self._pairing.causal)
        self._residents[name] = resident
        self._names = resident.sites.named(wanted.sites)
        self._attention = getattr(resident.sites.network.config, "_attn_implementation", None)
        if (wanted.logits or (wanted.readout and name == "trained" and self._pairing.causal)) and batches:
            shortest = min((one for batch in batches for one in batch.encoded), key=lambda one: one.length)
            resident.try_head(shortest.ids)
            if resident.vocabulary < self.vocabulary:
                raise SubjectError(
                    f"{member.label}: predicts {resident.vocabulary} tokens and not the {self.vocabulary} of its "
                    "configuration; correct vocab_size"
                )
        return resident

    def read(self, batch: Packed) -> Mapping[str, SideReading]:
        """See `PairReader.read`.

        Raises:
            SubjectError: the batch was not prepared, where the models are read in turn.
        """
        tokens = self._grid(batch)
        found: dict[str, SideReading] = {}
        if self._spilled is not None:
            found["base"] = self._spilled.read(batch.number)
        for name in self.subjects:
            if name not in found:
                resident, stance = self._stances[name]
                found[name] = resident.read(stance, tokens, self._names, vocabulary=self.vocabulary)
        return found

    def read_drawn(self, batch: Packed, name: str) -> SideReading:
        """See `PairReader.read_drawn`.

        Raises:
            SubjectError: the reader is not prepared.
        """
        tokens = self._grid(batch)
        resident, stance = self._stances[name]
        return resident.read(stance, tokens, self._names, vocabulary=self.vocabulary)

    def _grid(self, batch: Packed) -> Grid:
        if not self._stances:
            raise SubjectError("this reader is not prepared or closed; prepare it before batches are read")
        ids, mask, index = grid(batch, self.device)
        return Grid(ids=ids, mask=mask, index=index)

    def close(self) -> None:
        """See `PairReader.close`."""
        self._stances.clear()
        for resident in self._residents.values():
            resident.close()
        self._residents.clear()
        if self._spilled is not None:
            self._spilled.close()
            self._spilled = None
