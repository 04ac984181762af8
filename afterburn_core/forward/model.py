"""Passages, and what the forward pass hands to analyzers.

The pass reads *passages*: plain text, the prompts of a run, answers written earlier, given continuations. All subjects
read the same token ids. A batch of passages is packed by length and flattened to its *rows*: the token positions that
are neither padding nor, in causal models, the beginning mark. For every batch an analyzer observes, in this order,

1. `LogitChunk`s, if its need says `logits="vocabulary"`: log-probabilities over the whole vocabulary of some rows;
2. one `ForwardBatch` with the scores of all rows and the activations at the sites it asked for.

Tensors are on the run's device and are valid only during `observe`: reduce at once, keep no reference, write into none.

This module imports neither NumPy nor torch at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from afterburn_core.probes.model import Message, Probe

if TYPE_CHECKING:
    import torch

    from afterburn_core.forward.geometry import Geometry

Source = Literal["text", "prompt", "answer", "continuation", "given"]
"""`given`: an answer that a set of passages wrote itself after its own question; only read by who names the set
(`ForwardNeed.passage_sets`), so that what is written for one analyzer counts as text for no other."""
Author = Literal["base", "trained"]

CONTENT, FIRST, TEMPLATE, END = 0, 1, 2, 3
"""Classes of a token: of a passage's own text; among its first tokens (`first`); written by a chat template or special;
the end mark after an answer."""
TOKEN_CLASSES = ("content", "first", "template", "end")
"""Their names, by number."""
FIRST_TOKENS = 5
"""How many tokens of a text or an answer are of the class `first`."""


@attrs.frozen(kw_only=True)
class Passage:
    """One thing to read."""

    id: str
    """Unique in the pass: `behaviour.plain/17`, `math-3`, `math-3/trained/0`, `pair-2/continuation/1`."""
    source: Source
    domain: str
    """Set or file it comes from; measurements by domain are scoped to this subset."""
    unit: str
    """What statistics count: the probe's unit, or the document it was cut from."""
    messages: tuple[Message, ...] = ()
    """What is put through the template before `text`; empty for plain text."""
    text: str = ""
    """Plain text, the answer (a given one too) or the continuation; empty for a prompt alone."""
    token_ids: tuple[int, ...] | None = attrs.field(default=None, repr=False)
    """Tokens of `text` where the writer recorded them, without the end mark; else it is tokenised."""
    ended: bool = False
    """Whether the writer ended the text, so that an end mark follows it."""
    author: Author | None = None
    """Whose answer it is."""
    sample: int = 0
    continuation: int | None = None
    """Index of a given continuation among those of its probe."""
    swapped: bool = False
    """Whether the options stand in the prompt in the other order."""
    probe: Probe | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True, eq=False)
class Rows:
    """The token positions of one batch that count, flattened in the order of passages and positions; n of them."""

    passages: tuple[Passage, ...]
    passage: torch.Tensor
    """(n) int64, index into `passages`."""
    position: torch.Tensor
    """(n) int64, position in the passage's token sequence, 0 at its first token (which may be a beginning mark)."""
    token: torch.Tensor
    """(n) int64."""
    token_class: torch.Tensor
    """(n) uint8, class of the token itself."""
    in_text: torch.Tensor
    """(n) bool, whether the token belongs to `Passage.text` or to its end mark."""
    offset: torch.Tensor
    """(n) int64, 0 at the first token of `Passage.text`, negative in the prompt before it; for a prompt alone, −1 at
    its last token."""
    target: torch.Tensor
    """(n) int64, the next token of the passage; −1 at its last."""
    target_class: torch.Tensor
    """(n) uint8, class of the next token; undefined at the last."""
    decode: Callable[[int], str]
    """Text of one token id, as the tokenizer shows it in running text."""

    @property
    def n(self) -> int:
        return int(self.token.shape[0])


@attrs.frozen(kw_only=True, eq=False)
class TokenScores:
    """What two next-token distributions say of each other, base against another subject, at m rows. All (m).

    Computed once by the core (`afterburn_core.forward.scores`, with the formulas) and shared by all analyzers. In nats.
    """

    kl: torch.Tensor
    """KL(trained‖base), float64."""
    kl_reverse: torch.Tensor
    """KL(base‖trained), float64."""
    jsd: torch.Tensor
    """Jensen–Shannon divergence, float64, at most ln 2."""
    total_variation: torch.Tensor
    flipped: torch.Tensor
    """bool: the most probable tokens differ."""
    top_rank: torch.Tensor
    """int64: rank of base's most probable token under trained, 0 at the top."""
    base_rank: torch.Tensor
    """int64: rank of the target under base, 0 at the top; −1 where there is no target."""
    trained_rank: torch.Tensor
    base_entropy: torch.Tensor
    trained_entropy: torch.Tensor
    base_nll: torch.Tensor
    """−ln p of the target; NaN where there is no target."""
    trained_nll: torch.Tensor
    base_margin: torch.Tensor
    """ln p of the most probable less that of the second."""
    trained_margin: torch.Tensor
    bound: torch.Tensor | None = None
    """Largest possible error of `kl`, where base's distribution was kept as a sketch (`approximate`)."""


@attrs.frozen(kw_only=True, eq=False)
class LogitChunk:
    """Log-probabilities over the vocabulary at m rows of a batch, float32."""

    rows: Rows
    index: torch.Tensor
    """(m) int64 into `rows`."""
    base: torch.Tensor
    """(m, V)."""
    trained: torch.Tensor
    """(m, V)."""
    controls: Mapping[str, torch.Tensor]
    """(m, V) by subject id."""
    approximate: bool = False
    """Whether `base` is a sketch: its top tokens exactly, the rest of its mass spread evenly."""
    _differences: dict[str, Any] = attrs.field(factory=dict, repr=False)

    def difference(self, subject: str = "trained") -> torch.Tensor:
        """ln p_subject − ln p_base, (m, V); computed once and shared, so do not write into it."""
        if subject not in self._differences:
            other = self.trained if subject == "trained" else self.controls[subject]
            self._differences[subject] = other - self.base
        found: torch.Tensor = self._differences[subject]
        return found


@attrs.frozen(kw_only=True, eq=False)
class Captured:
    """One subject's activations in a batch."""

    sites: Mapping[str, torch.Tensor]
    """(n, d) float32 by site, rows as in `Rows`: `embed`, `blocks.{i}.in`, `blocks.{i}.attn.out`, `blocks.{i}.mlp.out`,
    `blocks.{i}.out`, `final_norm`; where they were asked for `blocks.{i}.attn.heads`, of another d, `blocks.{i}.mid`,
    `blocks.{i}.mlp.normed` and `blocks.{i}.mlp.in`."""


@attrs.frozen(kw_only=True, eq=False)
class ForwardBatch:
    """One batch as every subject read it."""

    rows: Rows
    base: Captured
    trained: Captured
    controls: Mapping[str, Captured]
    """By subject id."""
    scored: torch.Tensor
    """(m) int64 into `rows`: where `scores` were taken; all rows that have a target, and the last row of a prompt."""
    scores: TokenScores | None
    """`None` where no analyzer asked for logits."""
    control_scores: Mapping[str, TokenScores] = attrs.field(factory=dict)
    dtype: str = "float32"
    """What the models computed in (`PairReader.properties["dtype"]`): below float32, scores have a rounding floor."""
    readout: Callable[[torch.Tensor], torch.Tensor] | None = attrs.field(default=None, repr=False)
    """Logits (m, V) float32 of residual states (m, d) behind the last block, through the trained model's final norm and
    head, differentiable; `None` where nobody asked (`ForwardNeed.readout`), the head cannot be had alone, or a null
    stands in the trained model's place. Unlike tensors it may be kept until `finish`: it holds the head alone."""
    _geometry: dict[tuple[str, str], Any] = attrs.field(factory=dict, repr=False)

    def subject(self, name: str) -> Captured:
        """`base`, `trained` or a control by its id."""
        return {"base": self.base, "trained": self.trained}.get(name) or self.controls[name]

    def geometry(self, site: str, subject: str = "trained") -> Geometry:
        """Norms, inner products and difference of `subject` and base at a site; computed once and shared."""
        from afterburn_core.forward.geometry import geometry

        if (site, subject) not in self._geometry:
            base, other = self.base.sites[site], self.subject(subject).sites[site]
            self._geometry[site, subject] = geometry(base, other)
        found: Geometry = self._geometry[site, subject]
        return found


@attrs.frozen(kw_only=True)
class Vectors:
    """Embeddings of the same texts by both encoders: what the encode pass hands out, once."""

    texts: tuple[str, ...]
    ids: tuple[str, ...]
    """Of queries and documents, in the order of the vectors."""
    kinds: tuple[Literal["query", "document", "text"], ...]
    relevant: Mapping[str, Mapping[str, float]]
    """Graded relevance: query id to document id to grade; empty where nobody judged."""
    base: torch.Tensor = attrs.field(eq=False, repr=False)
    """(N, d_base) float32, pooled (and normalised, projected …) as the model's own files say."""
    trained: torch.Tensor = attrs.field(eq=False, repr=False)
    """(N, d_trained)."""
    layers: Mapping[str, Mapping[str, torch.Tensor]] = attrs.field(factory=dict, eq=False, repr=False)
    """Mean-pooled block outputs (N, d) by subject and site."""
    properties: Mapping[str, Any] = attrs.field(factory=dict)
    """How each side pools: `{"base": {"pooling": "mean", "normalise": true, …}, …}`."""
