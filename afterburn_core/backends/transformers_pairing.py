"""What is settled before a pair is loaded: the tokens that both read, how they share the memory, which nulls they have.

All from configurations, tokenizers and the sizes of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from afterburn_core.backends.adapter_settings import restores_base
from afterburn_core.backends.documents import read_documents, read_json
from afterburn_core.backends.transformers_cost import both_fit, context_length
from afterburn_core.backends.transformers_generator import dtype_in_effect
from afterburn_core.backends.transformers_loading import Origin, load_model, load_tokenizer
from afterburn_core.backends.transformers_null_offers import Arrangement, is_whole, one_of_each, that_fit
from afterburn_core.backends.transformers_subjects import origin_of
from afterburn_core.backends.transformers_template import Mode, template_mode
from afterburn_core.errors import SubjectError
from afterburn_core.forward.reading import Wanted
from afterburn_core.run.needs import ControlKind, Drawn

if TYPE_CHECKING:
    from afterburn_core.backends.encoder_folder import EncoderPlan
    from afterburn_core.generation.model import Serving, Template
    from afterburn_core.run.subjects import OpenSubject

_NAMED = 3


@attrs.frozen(kw_only=True, eq=False)
class Member:
    """One of the two models."""

    origin: Origin
    config: Any
    """The library's configuration."""
    plan: EncoderPlan | None
    """How it pools; `None` for causal models."""
    bytes: int
    """In memory."""

    @property
    def label(self) -> str:
        return self.origin.label

    @property
    def rows(self) -> int:
        """Token ids that it has weights for."""
        return int(self.origin.rows or self.config.get_text_config().vocab_size)

    @property
    def shape(self) -> tuple[int, int]:
        """Blocks, and d."""
        config = self.config.get_text_config()
        return int(config.num_hidden_layers), int(config.hidden_size)

    def load(self, serving: Serving) -> Any:
        """The network, with its adapter where it has one; global random state stays."""
        import torch

        from afterburn_core.backends.encoder_loading import load_encoder

        with torch.random.fork_rng(devices=[]):  # adapters are filled at random before they are read
            if self.plan is None:
                return load_model(self.origin, device=serving.device, dtype=serving.dtype)
            return load_encoder(self.origin, self.plan, device=serving.device, dtype=serving.dtype).network


@attrs.frozen(kw_only=True, eq=False)
class Pairing:
    """A pair that can be loaded."""

    base: Member
    trained: Member
    causal: bool
    arrangement: Arrangement
    controls: tuple[ControlKind, ...]
    drawn: tuple[Drawn, ...]
    """Further nulls that memory holds at once."""
    waiting: tuple[Drawn, ...]
    """Those that another reader has to read."""
    tokenizer: Any
    mode: Mode
    context: int | None
    vocabulary: int
    dtype: str
    serving: Serving
    seed: int
    notes: tuple[str, ...]
    only: Literal["base", "trained"] | None = None
    """The one side that is read (`Wanted.only`)."""


def pair(
    base: OpenSubject,
    trained: OpenSubject,
    *,
    serving: Serving,
    template: Template,
    wanted: Wanted,
    seed: int,
    arrangement: Arrangement | None = None,
) -> Pairing:
    """Settles how the two are read.

    Args:
        base: the opened base.
        trained: the opened trained model.
        serving: device and dtype.
        template: how prompts are put.
        wanted: of every batch.
        seed: of the nulls.
        arrangement: forces one; `None` takes the cheapest that fits.

    Raises:
        SubjectError: they cannot read the same tokens, or what is wanted cannot be compared.
    """
    causal = all("logits" in subject.facts.capabilities for subject in (base, trained))
    dtype = dtype_in_effect(serving, (base.documents().get("config") or {}))
    first, second = (_member(subject, causal=causal, dtype=dtype) for subject in (base, trained))
    _require_comparable(first, second, causal, wanted)
    tokenizer, source, told = _shared_tokenizer(first, second)
    mode: Mode = "plain"
    if causal:
        mode = template_mode(template, read_documents(source.origin.tokenizer)["chat_template"], source.label)
    chosen = arrangement or _arranged(base, trained, first, second, serving)
    if wanted.only is not None:
        chosen = "side_by_side"  # with a place that stays empty
    if chosen == "adapter" and not _toggles(base, trained, second):
        raise SubjectError(f"{second.label}: is no adapter that can be switched off to give {first.label}")
    controls, refused = one_of_each(trained, second, wanted.controls, chosen, dtype, first.bytes, serving)
    held = sum(is_whole(trained, kind) for kind in controls)
    drawn, waiting, told_of = that_fit(trained, second, wanted.drawn, chosen, dtype, first.bytes, serving, held)
    vocabulary = min(first.rows, second.rows)
    if causal and wanted.logits and first.rows != second.rows:
        more = second if second.rows > vocabulary else first
        told.append(
            f"{more.label} has {more.rows - vocabulary} token ids more than the other model; probabilities are over "
            f"the {vocabulary} that both have, and add up to 1 there"
        )
    return Pairing(
        base=first,
        trained=second,
        causal=causal,
        arrangement=chosen,
        controls=controls,
        drawn=drawn,
        waiting=waiting,
        tokenizer=tokenizer,
        mode=mode,
        context=_context(first, second, tokenizer),
        vocabulary=vocabulary,
        dtype=dtype,
        serving=serving,
        seed=seed,
        notes=(*told, *refused, *told_of),
        only=wanted.only,
    )


def _member(subject: OpenSubject, *, causal: bool, dtype: str) -> Member:
    from transformers import AutoConfig

    from afterburn_core.backends.checkpoint import AdapterSubject, Checkpoint
    from afterburn_core.backends.encoder_vectors import encoder_origin

    offered = subject.facts.capabilities
    if not isinstance(subject, (AdapterSubject, Checkpoint)) or not (causal or "encode" in offered):
        raise SubjectError(
            f"{subject.facts.label}: cannot be read beside the other model; give two causal language models or two "
            "encoders, in directories"
        )
    origin, plan = (origin_of(subject), None) if causal else encoder_origin(subject)
    below = subject.base.facts.parameters if isinstance(subject, AdapterSubject) else 0
    own = subject.facts.parameters
    return Member(
        origin=origin,
        config=AutoConfig.from_pretrained(origin.directory, local_files_only=True, trust_remote_code=False),
        plan=plan,
        bytes=(below + own) * (4 if dtype == "float32" else 2),
    )


def _require_comparable(base: Member, trained: Member, causal: bool, wanted: Wanted) -> None:
    if wanted.logits and not causal:
        raise SubjectError(f"{trained.label}: an encoder predicts no next token, so it has no logits to compare")
    if wanted.sites and base.shape != trained.shape:
        (blocks, width), (others, own) = base.shape, trained.shape
        raise SubjectError(
            f"{base.label} has {blocks} blocks of width {width} and {trained.label} {others} of width {own}: "
            "activations cannot be compared; leave out the analyzers that need them"
        )


def _arranged(base: OpenSubject, trained: OpenSubject, first: Member, second: Member, serving: Serving) -> Arrangement:
    if _toggles(base, trained, second):
        return "adapter"
    return "side_by_side" if both_fit(first.bytes, second.bytes, device=serving.device) else "in_turn"


def _toggles(base: OpenSubject, trained: OpenSubject, second: Member) -> bool:
    """Whether the trained model is an adapter that gives the base when it is switched off."""
    from afterburn_core.backends.checkpoint import AdapterSubject

    if not isinstance(trained, AdapterSubject) or trained.base is not base or second.origin.rows is not None:
        return False
    return restores_base(read_json(trained.directory / "adapter_config.json") or {})


def _shared_tokenizer(base: Member, trained: Member) -> tuple[Any, Member, list[str]]:
    """A tokenizer whose every id both models have, whose it is, and what to say of it.

    Raises:
        SubjectError: there is none, or equal ids are different tokens.
    """
    theirs = load_tokenizer(trained.origin)
    if base.origin.tokenizer == trained.origin.tokenizer:
        return theirs, trained, []
    own = load_tokenizer(base.origin)
    _require_equal_tokens(base, trained, own, theirs)
    ids, others = (set(one.get_vocab().values()) for one in (own, theirs))  # some have ids that no model of theirs has
    lone = sum(index >= base.rows for index in others - ids)
    if not lone:
        return theirs, trained, []
    if all(index < trained.rows for index in ids - others):
        told = f"{lone} tokens that only {trained.label} has are not used: texts are read as base divides them"
        return own, base, [told]
    raise SubjectError(
        f"{trained.label}: neither tokenizer gives only ids that both models have; save the models with all rows"
    )


def _require_equal_tokens(base: Member, trained: Member, own: Any, theirs: Any) -> None:
    """Equal ids must be equal tokens; special and added ones may have been renamed."""
    first, second = ({index: token for token, index in one.get_vocab().items()} for one in (own, theirs))
    if first == second:
        return
    free = {*own.added_tokens_decoder, *theirs.added_tokens_decoder}
    wrong = [index for index in first.keys() & second.keys() if first[index] != second[index] and index not in free]
    if wrong:
        named = "; ".join(f"{index} is {first[index]!r} and {second[index]!r}" for index in sorted(wrong)[:_NAMED])
        raise SubjectError(
            f"{base.label} and {trained.label} do not read the same tokens: {len(wrong)} ids differ ({named}); only "
            "models with one tokenizer can be read side by side"
        )


def _context(base: Member, trained: Member, tokenizer: Any) -> int | None:
    from afterburn_core.backends.encoder_loading import longest_text

    limits: list[int | None] = []
    for member in (base, trained):
        if member.plan is not None:
            limits.append(longest_text(member.plan, tokenizer, member.config))
        else:
            config: Mapping[str, Any] = read_json(member.origin.directory / "config.json") or {}
            limits.append(context_length(config))
    known = [limit for limit in limits if limit is not None]
    return min(known, default=None)


__all__ = ["Arrangement", "Member", "Pairing", "pair"]
