"""Names that specs, analyzers and the judge share. Imports nothing that computes."""

from __future__ import annotations

from afterburn_core.result.model import Scope

DIVERGENCE = "behaviour.divergence."
CROSS = "behaviour.cross_scoring."
PERPLEXITY = "behaviour.perplexity."
CONTEXTS = "behaviour.divergence_contexts"
POSITIONS = "behaviour.divergence_positions"
DIFFERENCES = "behaviour.perplexity_difference"
SOURCES = ("text", "prompt", "answer")
AUTHORS = ("base", "trained")


def part(**named: str) -> Scope:
    """The scope of a part of the tokens: `part(source="answer", author="base")` is `source=answer,author=base`."""
    return Scope(subset=",".join(f"{name}={value}" for name, value in named.items()))


def written_by(author: str) -> Scope:
    """The scope of the answers of one side, `author=trained`."""
    return part(author=author)


def in_words(scope: Scope) -> str:
    """A part of the tokens as a sentence names it: `answers of trained`, `the first 5 tokens of texts`."""
    named = dict(pair.split("=", 1) for pair in (scope.subset or "").split(",") if "=" in pair)
    if "domain" in named:
        return (scope.subset or "").removeprefix("domain=")
    if "class" in named:
        return _CLASSES.get(named["class"], named["class"])
    source = _SOURCES.get(named.get("source", ""), "all tokens")
    if "author" in named:
        source = f"{source} of {named['author']}"
    if "at" in named:
        return "what follows prompts"
    if "first" in named:
        return (
            f"the first {named['first']} tokens of {source}" if named["first"] != "1" else f"first tokens of {source}"
        )
    return f"tokens after the {named['after']}th of {source}" if "after" in named else source


_SOURCES = {"text": "texts", "prompt": "prompts", "answer": "answers"}
_CLASSES = {"template": "template marks", "end": "end marks", "first": "opening tokens", "content": "content tokens"}
