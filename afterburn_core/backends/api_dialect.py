"""What is sent to an OpenAI-compatible endpoint, and what is read from its answers.

Servers differ in what they take. What only adds knowledge (seed, log-probabilities) is left out once a server refuses
it, and that is noted; what shapes the text (`top_k` …) is never left out.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from afterburn_core.backends.api_address import Route
from afterburn_core.backends.api_retry import Transient
from afterburn_core.generation.model import Decoding, Finish, Request, Sample
from afterburn_core.result.strict_json import is_text

_FINISHES: Mapping[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
_LABEL_CANDIDATES = (20, 5)
"""Numbers of likeliest first tokens asked for: OpenAI and vLLM give at most 20, others 5."""


class Dialect:
    """Which parameters the endpoint takes, learnt from its refusals; shared by all workers."""

    def __init__(self, route: Route, model: str, decoding: Decoding) -> None:
        self._route, self._model, self._decoding = route, model, decoding
        self._lock = threading.Lock()
        self._limit = "max_tokens"
        self._seed = self._logprobs = True
        self._candidates = list(_LABEL_CANDIDATES)
        self._refusals: list[str] = []
        self.version = 0
        """Grows with everything learnt: a request that was built before is worth another try."""

    @property
    def resource(self) -> str:
        return "/chat/completions" if self._route == "chat" else "/completions"

    @property
    def refusals(self) -> tuple[str, ...]:
        """Parameters that the server did not take, in the order met."""
        return tuple(self._refusals)

    def payload(self, request: Request) -> dict[str, Any]:
        """The body of a request."""
        decoding = self._decoding
        body: dict[str, Any] = {
            "model": self._model,
            self._limit: decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "stream": False,
        }
        if self._route == "chat":
            body["messages"] = [{"role": turn.role, "content": turn.content} for turn in request.messages]
        else:
            body["prompt"] = "\n\n".join(turn.content for turn in request.messages)
        for name, neutral in (("top_k", 0), ("min_p", 0.0), ("repetition_penalty", 1.0)):
            if getattr(decoding, name) != neutral:
                body[name] = getattr(decoding, name)
        if self._seed:
            body["seed"] = request.seed % 2**31  # several servers keep 32 bits with a sign
        candidates = self._candidates[0] if request.choices and self._candidates else 0
        if self._logprobs and self._route == "chat":
            body["logprobs"] = True
            if candidates:
                body["top_logprobs"] = candidates
        elif self._logprobs:
            body["logprobs"] = candidates or 1
        return body

    def learn(self, said: str, version: int) -> bool:
        """Takes in why a request was refused; says whether another try makes sense.

        Args:
            said: the server's message.
            version: of the dialect in which the refused request was built.
        """
        with self._lock:
            if self.version != version:
                return True
            refused = self._refused(said.lower())
            if refused is None:
                return False
            self._refusals.append(refused)
            self.version += 1
            return True

    def _refused(self, said: str) -> str | None:
        if "max_tokens" in said and "max_completion_tokens" in said and self._limit == "max_tokens":
            self._limit = "max_completion_tokens"
            return "max_tokens"
        if "top_logprobs" in said and self._candidates:
            return f"top_logprobs={self._candidates.pop(0)}"
        if "logprobs" in said and self._logprobs:
            self._logprobs = False
            self._candidates.clear()
            return "logprobs"
        if "seed" in said and self._seed:
            self._seed = False
            return "seed"
        return None


def read_sample(body: Mapping[str, Any], request: Request, route: Route) -> Sample:
    """The sample in an answer.

    Raises:
        Transient: there is none: no choices, or fields of the wrong type.
    """
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise Transient("the answer holds no choices")
    finish = _FINISHES.get(choice["finish_reason"]) if isinstance(choice.get("finish_reason"), str) else None
    logprobs = choice.get("logprobs")
    logprobs = logprobs if isinstance(logprobs, dict) else {}
    tokens, first = _chat_logprobs(logprobs) if route == "chat" else _completion_logprobs(logprobs)
    return Sample(
        index=request.index,
        text=_text(choice, route),
        tokens=_tokens(body.get("usage")),
        finish=finish,
        logprob=math.fsum(tokens) if tokens else None,
        choice_logprobs=label_logprobs(first, request.choices) if request.choices else None,
        seed=request.seed,
        labels=_labels(body.get("usage"), choice, finish),
    )


def _text(choice: Mapping[str, Any], route: Route) -> str:
    message = choice.get("message") if route == "chat" else choice
    if not isinstance(message, dict):
        raise Transient("the answer holds no message")
    text = message.get("content" if route == "chat" else "text")
    if text is None and choice.get("finish_reason"):  # a refusal in a field of its own, or nothing but hidden reasoning
        text = message.get("refusal") or ""
    if isinstance(text, list):
        text = "".join(part["text"] for part in text if isinstance(part, dict) and isinstance(part.get("text"), str))
    if not isinstance(text, str) or not is_text(text):
        raise Transient("the answer holds no text")
    return text


def _tokens(usage: Any) -> int | None:
    count = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def _labels(usage: Any, choice: Mapping[str, Any], finish: Finish | None) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    hidden = details.get("reasoning_tokens") if isinstance(details, dict) else None
    if isinstance(hidden, int) and hidden > 0:
        labels["reasoning_tokens"] = hidden  # among `tokens`, and not in the text
    if finish is None and isinstance(choice.get("finish_reason"), str):
        labels["finish_reason"] = choice["finish_reason"]
    return labels


def _logprob(value: Any) -> float | None:
    """A log-probability; `None` for what is none, such as the −9999 that some servers write for impossible tokens."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < -1000:
        return None
    return min(float(value), 0.0)


def _chat_logprobs(logprobs: Mapping[str, Any]) -> tuple[tuple[float, ...], Mapping[str, list[float]]]:
    """ln p of every token, empty where one is missing; ln p of the likeliest first tokens by their text."""
    content = logprobs.get("content")
    entries = content if isinstance(content, list) and all(isinstance(entry, dict) for entry in content) else []
    top = entries[0].get("top_logprobs") if entries else None
    pairs = [(e.get("token"), e.get("logprob")) for e in top if isinstance(e, dict)] if isinstance(top, list) else []
    return _complete(entry.get("logprob") for entry in entries), _by_text(pairs)


def _completion_logprobs(logprobs: Mapping[str, Any]) -> tuple[tuple[float, ...], Mapping[str, list[float]]]:
    values, tops = logprobs.get("token_logprobs"), logprobs.get("top_logprobs")
    top = tops[0] if isinstance(tops, list) and tops else None
    pairs = list(top.items()) if isinstance(top, dict) else []
    return _complete(values if isinstance(values, list) else ()), _by_text(pairs)


def _complete(values: Iterable[Any]) -> tuple[float, ...]:
    found = [_logprob(value) for value in values]
    known = tuple(value for value in found if value is not None)
    return known if len(known) == len(found) else ()


def _by_text(pairs: Sequence[tuple[Any, Any]]) -> Mapping[str, list[float]]:
    """Log-probabilities by the token's text without spaces around it: `A` and ` A` answer alike."""
    found: dict[str, list[float]] = {}
    for token, value in pairs:
        logprob = _logprob(value)
        if isinstance(token, str) and logprob is not None:
            found.setdefault(token.strip(" \u0120\u2581"), []).append(logprob)
    return found


def label_logprobs(first: Mapping[str, Sequence[float]], labels: Sequence[str]) -> tuple[float, ...] | None:
    """ln Σ p over the tokens that spell each label; `None` unless all labels are among the likeliest first tokens.

    A label that is not among them has an unknown probability, not a small one.
    """
    if not all(label in first for label in labels):
        return None
    return tuple(_log_sum(first[label]) for label in labels)


def _log_sum(values: Sequence[float]) -> float:
    peak = max(values)
    return min(0.0, peak + math.log(math.fsum(math.exp(value - peak) for value in values)))
