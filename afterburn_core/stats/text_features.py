"""What the classifier test sees of a pair of answers: word, character and style features, as differences of the sides.

For prompt i and feature j, averaged over the samples of each side:

    z_ij = mean_k φ_j(trained answer k) − mean_k φ_j(base answer k)
    φ = ln(1 + count) for words, pairs of words and three characters in a row; 1 for the first and the last word;
        ln(1 + count per 100 words) for marks of style; ln(1 + count) for the three measures of length

Which columns are kept depends on |z| alone (in how many prompts the sides differ), and so never on which side is which:
a test that swaps sides stays exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ZERO = 1e-9
_SHIFT = 21  # bits of a code point
_PAIR = 32  # bits of a word's number

_STYLE: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.MULTILINE))
    for name, pattern in (
        ("bullets", r"^\s*[-*•]\s"),
        ("numbered items", r"^\s*\d+[.)]\s"),
        ("headings", r"^#{1,6}\s"),
        ("bold spans", r"\*\*\S"),
        ("code fences", r"^\s*```"),
        ("inline code", r"(?<!`)`[^`\n]+`"),
        ("table rows", r"^\s*\|.*\|\s*$"),
        ("paragraph breaks", r"\n\s*\n"),
        ("line breaks", r"\n"),
        ("exclamation marks", r"!"),
        ("question marks", r"\?"),
        ("commas", r","),
        ("colons", r":"),
        ("semicolons", r";"),
        ("dashes", r"[–—]"),
        ("parentheses", r"\("),
        ("quotation marks", r"[\"“”]"),
        ("numbers", r"\d+(?:[.,]\d+)*"),
        ("mathematics", r"\$|\\\(|\\\[|\\[a-z]+\{"),
        ("capitals", r"[A-Z]"),
        ("links", r"https?://|\]\("),
        ("symbols and emoji", r"[\u2190-\u2bff\U0001f300-\U0001faff]"),
        ("contractions", r"\w['’](?:s|t|re|ve|ll|d|m)\b"),
        ("first person", r"\b(?:I|me|my|we|our|us)\b"),
        ("second person", r"\b[Yy]ou(?:r|rs)?\b"),
        ("long words", r"\b[^\W\d_]{9,}\b"),
    )
)
_LENGTHS = ("words", "characters", "sentences")
_SENTENCE = re.compile(r"[.!?…]+(?=\s|$)")


@attrs.frozen(kw_only=True)
class PairFeatures:
    """Differences of the sides, one row per prompt."""

    differences: NDArray[np.float64] = attrs.field(eq=False, repr=False)
    """z, (n, features), without the measures of length."""
    names: tuple[str, ...] = attrs.field(repr=False)
    """Readable name of each column: `word: however`, `style: bullets per 100 words`."""
    lengths: NDArray[np.float64] = attrs.field(eq=False, repr=False)
    """Differences of the logs of words, characters and sentences, (n, 3)."""
    length_names: tuple[str, ...] = tuple(f"length: {name}" for name in _LENGTHS)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without marks."""
    return _WORD.findall(text.lower())


def pair_features(
    base: Sequence[Sequence[str]], trained: Sequence[Sequence[str]], *, limit: int = 1200, fewest: int | None = None
) -> PairFeatures:
    """Features of all prompts.

    Args:
        base: for each prompt, the texts of its samples.
        trained: the same prompts in the same order.
        limit: most columns of each of words, pairs of words and characters: those that differ in most prompts.
        fewest: prompts in which a column must differ; a hundredth of them and at least 4 where absent.

    Raises:
        ValueError: The sides differ in their number of prompts, or a prompt lacks a sample.
    """
    if len(base) != len(trained):
        raise ValueError("the same prompts on both sides: the two differ in length")
    if not all(base) or not all(trained):
        raise ValueError("a prompt lacks a sample: drop prompts answered by one side only")
    n = len(base)
    least = max(4, -(-n // 100)) if fewest is None else fewest
    vocabulary: dict[str, int] = {}
    tokens = [[[words_of(text) for text in side[i]] for side in (base, trained)] for i in range(n)]
    for word in sorted({word for prompt in tokens for side in prompt for sample in side for word in sample}):
        vocabulary[word] = len(vocabulary)
    spelled = list(vocabulary)
    kinds = {name: _Columns() for name in ("word", "words", "characters", "opens", "closes")}
    style = np.zeros((n, len(_STYLE)))
    lengths = np.zeros((n, len(_LENGTHS)))
    for i in range(n):
        for side, sign in ((0, -1.0), (1, 1.0)):
            texts = (base, trained)[side][i]
            for text, found in zip(texts, tokens[i][side]):
                share = sign / len(texts)
                ids = np.array([vocabulary[word] for word in found], dtype=np.int64)
                kinds["word"].add(i, ids, share)
                kinds["words"].add(i, (ids[:-1] << _PAIR) | ids[1:], share)
                kinds["characters"].add(i, _trigrams(text), share)
                kinds["opens"].add(i, ids[:1], share)
                kinds["closes"].add(i, ids[-1:], share)
                marks, size = _style(text, len(found))
                style[i] += share * marks
                lengths[i] += share * size
    readable = {
        "word": lambda code: f"word: {spelled[code]}",
        "words": lambda code: f"words: {spelled[code >> _PAIR]} {spelled[code & ((1 << _PAIR) - 1)]}",
        "characters": lambda code: f"characters: {_shown(code)}",
        "opens": lambda code: f"opens with: {spelled[code]}",
        "closes": lambda code: f"closes with: {spelled[code]}",
    }
    blocks, names = [_clean(style)], [f"style: {name} per 100 words" for name, _ in _STYLE]
    for kind, columns in kinds.items():
        values, codes = columns.dense(n, limit, least)
        blocks.append(values)
        names += [readable[kind](code) for code in codes]
    differences = np.concatenate(blocks, axis=1)
    moving = np.asarray(differences.any(axis=0))
    return PairFeatures(
        differences=differences[:, moving],
        names=tuple(name for name, kept in zip(names, moving.tolist()) if kept),
        lengths=_clean(lengths),
    )


class _Columns:
    """Sparse differences of one kind of feature."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._codes: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.float64]] = []

    def add(self, row: int, occurrences: NDArray[np.int64], share: float) -> None:
        """The n-grams of one text, each as often as it occurs, with the text's signed share in its side."""
        codes, counts = np.unique(occurrences, return_counts=True)
        self._rows.append(row)
        self._codes.append(codes)
        self._values.append(share * np.log1p(counts))

    def dense(self, n: int, limit: int, least: int) -> tuple[NDArray[np.float64], list[int]]:
        """The columns that differ in most prompts, (n, columns), and their codes."""
        if not self._codes:
            return np.zeros((n, 0)), []
        rows = np.repeat(self._rows, [len(codes) for codes in self._codes])
        codes, column = np.unique(np.concatenate(self._codes), return_inverse=True)
        cell, place = np.unique(rows * max(len(codes), 1) + column, return_inverse=True)
        values = np.bincount(place, weights=np.concatenate(self._values), minlength=len(cell))
        differ = np.abs(values) > _ZERO
        cell, values = cell[differ], values[differ]
        row, column = np.divmod(cell, max(len(codes), 1))
        prompts = np.bincount(column, minlength=len(codes))
        order = np.argsort(-prompts, kind="stable")[:limit]
        kept = np.sort(order[prompts[order] >= least])
        position = np.full(len(codes), -1)
        position[kept] = np.arange(len(kept))
        inside = position[column] >= 0
        table = np.zeros((n, len(kept)))
        table[row[inside], position[column[inside]]] = values[inside]
        return table, codes[kept].tolist()


def _trigrams(text: str) -> NDArray[np.int64]:
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
    return np.asarray((points[:-2] << 2 * _SHIFT) | (points[1:-1] << _SHIFT) | points[2:])


def _shown(code: int) -> str:
    mask = (1 << _SHIFT) - 1
    text = "".join(chr(part) for part in (code >> 2 * _SHIFT, (code >> _SHIFT) & mask, code & mask))
    return text.replace("\n", "⏎").replace(" ", "␣").replace("\t", "⇥")


def _style(text: str, words: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    per = 100 / max(words, 1)
    marks = np.log1p([per * _count(pattern.findall(text)) for _, pattern in _STYLE])
    return marks, np.log1p([words, len(text), len(_SENTENCE.findall(text))])


def _count(found: Iterable[object]) -> int:
    return sum(1 for _ in found)


def _clean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without what sums of equal numbers in another order leave behind."""
    return np.where(np.abs(values) > _ZERO, values, 0.0)
