"""Limitations, what was not tested, and threats to validity: read off the rest of the predicate, never written freely.

All three are functions of the document, so that whoever checks it can tell whether one that belongs there was left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from afterburn_core.certify.verdicts import UNDECIDED
from afterburn_core.certify.wording import LIMITATIONS, NOT_TESTED, THREATS

_ALWAYS = (
    "files_only",
    "declared_not_checked",
    "signature_meaning",
    "claimed_time",
    "no_transfer",
    "no_causality",
    "detectable_size",
    "software_self_reported",
)
_UNTESTED_ALWAYS = ("served_system", "hidden_triggers", "training_data", "law")
_CACHED = "_from_cache"
Entry = dict[str, Any]


def limitations(predicate: Mapping[str, Any]) -> list[Entry]:
    """What the certificate does not carry, most general first."""
    return [_entry(LIMITATIONS, name, **values) for name, values in _limits(predicate)]


def not_tested(predicate: Mapping[str, Any]) -> list[Entry]:
    """What was left out: in general, by component, by rule."""
    return [_entry(NOT_TESTED, name, **values) for name, values in _untested(predicate)]


def threats(predicate: Mapping[str, Any]) -> list[Entry]:
    """What could make the numbers mean less than they seem to."""
    names = []
    if predicate["protocol"]["datasets"]:
        names += ["contamination", "known_prompts", "deterministic_checks", "recognised_test"]
    if predicate["tests"]:
        names.append("multiplicity")
    return [_entry(THREATS, name) for name in names]


def _limits(predicate: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tests, protocol = predicate["tests"], predicate["protocol"]
    trained, base = predicate["models"]["trained"]["measured"], predicate["models"]["base"]
    relation, completeness = predicate["relation"]["measured"], predicate["completeness"]
    for name in _ALWAYS:
        yield name, {}
    if predicate["reproducibility"]["level"] == "not demonstrated":
        yield "single_run", {}
    if predicate["issuer"]["role"] == "self-assessment":
        yield "self_assessment", {}
    if predicate["issuer"]["legalName"] is None:
        yield "issuer_unknown", {}
    for deviation in protocol["deviations"]:
        if deviation["id"] in LIMITATIONS:
            yield deviation["id"], {}
    if completeness["run"] != "complete":
        yield "run_not_complete", {"status": completeness["run"]}
    if completeness["recorded"] != completeness["present"]:
        yield "evidence_lost", {}
    if relation["kind"] == "recorded":
        yield "recorded_outputs", {}
    if relation["kind"] == "adapter":
        yield "adapter_on_base", {}
    if base is not None and base["measured"]["manifest"]["source"] == "run":
        yield "base_not_hashed", {}
    for field, name in (
        ("notReadByRun", "files_not_read"),
        ("codeFiles", "code_files"),
        ("pickleFiles", "pickle_files"),
    ):
        if trained[field]:
            yield name, {"n": len(trained[field])}
    if relation["kind"] == "full" and relation["tensors"] is None:
        yield "no_tensor_digests", {}
    if not protocol["controls"]:
        yield "no_controls", {}
    if protocol["samplesPerPrompt"] == 1 and protocol["decoding"] is not None:
        yield "single_sample", {}
    if protocol["judgeModel"]:
        yield "judge_model", {}
    if protocol["servedFromCache"]:
        yield "passes_from_cache", {}
    waived = sum(test["waiver"] is not None for test in tests)
    below = sum(test["belowBar"] for test in tests)
    spared = sum(test["verdict"] in UNDECIDED and not test["required"] for test in tests)
    for name, n in (("waived", waived), ("below_bar", below), ("not_required", spared)):
        if n:
            yield name, {"n": n}
    if predicate["seal"]["state"] == "draft":
        yield "unsigned", {}


def _untested(predicate: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    protocol, completeness = predicate["protocol"], predicate["completeness"]
    for name in _UNTESTED_ALWAYS:
        yield name, {}
    languages = protocol["languages"]
    told = f"Found in the answers: {', '.join(languages)}." if languages else "The run did not tell which those are."
    yield "languages", {"languages": told}
    if predicate["relation"]["measured"]["kind"] == "recorded":
        yield "weights_not_seen", {}
    if protocol["decoding"] is None:
        yield "nothing_written", {}
    if protocol["probeSetsNotAsked"]:
        yield "probe_sets", {"names": ", ".join(protocol["probeSetsNotAsked"])}
    for requirement in completeness["requirements"]:
        if not requirement["met"]:
            yield "requirement_not_met", {"reason": requirement["message"]}
    for component in completeness["components"]:
        if component["status"] != "ok" and component["kind"] != "detector":
            reason = component["reason"] or "No reason was recorded."
            yield "component_not_run", {"name": component["name"], "status": component["status"], "reason": reason}
    for test in predicate["tests"]:
        if test["verdict"] in UNDECIDED:
            sizes = [number["n"] for number in test["numbers"] if number["n"] is not None]
            values = {
                "id": test["id"],
                "reason": test["reason"],
                "n": min(sizes) if sizes else "unknown",
            }
            yield f"rule_{test['verdict'].lower()}", values


def _entry(templates: Mapping[str, str], template: str, /, **values: Any) -> Entry:
    return {"origin": "measured", "id": template, "text": templates[template].format(**values)}
