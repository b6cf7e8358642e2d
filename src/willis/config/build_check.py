"""Parsed keys of a check to the question that is asked, and back.

The keys of a service stand in for those of ``defaults``, records key by key. What
``defaults`` holds for other kinds is not looked at; a key of the service itself that its
kinds have no use for is a fault.
"""

# ruff: noqa: ANN401 - a parsed tree has no type of its own

from __future__ import annotations

from typing import Any

from willis.config.document_check import CHECK
from willis.config.make import make
from willis.config.problem import Fault, Path
from willis.model.check import (
    Check,
    CheckKind,
    Command,
    Deep,
    Dicom,
    DicomAsk,
    Dns,
    Fixed,
    HalfOpen,
    Hl7,
    Hl7Ask,
    Hl7Connect,
    Http,
    HttpAsk,
    Ping,
    Question,
    Talk,
    TcpTalk,
)
from willis.model.proxy import ServerTls

Fields = dict[str, Any]

_TIMES = {"interval": "interval_s", "timeout": "timeout_s"}
_PLAIN = ("interval", "timeout", "rise", "fall", "port")

KEYS: dict[CheckKind, tuple[str, ...]] = {
    CheckKind.TCP: ("tcp", "tls"),
    CheckKind.PING: (),
    CheckKind.HTTP: ("http",),
    CheckKind.HTTPS: ("http", "tls"),
    CheckKind.DICOM_ECHO: ("dicom", "tls"),
    CheckKind.DICOM_FIND: ("dicom", "tls"),
    CheckKind.DICOM_STORE: ("dicom", "tls"),
    CheckKind.HL7: ("hl7", "tls"),
    CheckKind.DICOMWEB: ("http", "tls"),
    CheckKind.MINT: ("http", "tls"),
    CheckKind.FHIR: ("http", "tls"),
    CheckKind.DNS: ("dns",),
    CheckKind.COMMAND: ("command",),
    CheckKind.ON: (),
    CheckKind.OFF: (),
}
"""Which records each kind has a use for."""
_RECORDS = ("tcp", "http", "dicom", "hl7", "dns", "command", "tls")
_NEEDS = {CheckKind.DNS: "dns", CheckKind.COMMAND: "command"}


def build_check(defaults: Fields, own: Fields, path: Path, faults: list[Fault]) -> Check:
    """The check of a service whose keys are ``own``; ``path`` is where they stand."""
    kind: CheckKind = own.get("kind") or defaults.get("kind") or CheckKind.TCP
    deep: Fields | None = own.get("deep")
    deep_kind: CheckKind | None = deep.get("kind") if deep else None
    merged = {key: _over(defaults.get(key), own.get(key)) for key in _RECORDS}
    faults += _useless(own, merged, [k for k in (kind, deep_kind) if k is not None], path)
    plain = {**defaults, **own}
    times = {_TIMES.get(key, key): plain[key] for key in _PLAIN if plain.get(key) is not None}
    question = _question(kind, merged, path, faults) or HalfOpen()
    below = None
    if deep is not None and deep_kind is not None:
        asked = _question(deep_kind, merged, path, faults)
        rest = {key: deep[key] for key in ("every", "port") if deep.get(key) is not None}
        below = None if asked is None else Deep(asked, **rest)
    return Check(question, deep=below, **times)


def _over(usual: Any, own: Any) -> Any:
    if isinstance(usual, dict) and isinstance(own, dict):
        return {**usual, **own}
    return usual if own is None else own


def _useless(own: Fields, merged: Fields, kinds: list[CheckKind], path: Path) -> list[Fault]:
    useful = {key for kind in kinds for key in KEYS[kind] if key != "tls" or _speaks(kind, merged)}
    words = " and ".join(dict.fromkeys(map(str, kinds)))
    return [
        Fault(
            (*path, key),
            f"A check of kind {words} has no use for '{key}'{_SILENT if key == 'tls' else ''}.",
            f"Remove it, or use a kind that does: {', '.join(k for k, keys in KEYS.items() if key in keys)}.",
            rests_on=((*path, "kind"), (*path, "deep"), ("defaults", "check")),
        )
        for key in _RECORDS
        if own.get(key) is not None and key not in useful
    ]


_SILENT = " unless it says something (tcp: {...}, hl7: {message: ...})"


def _speaks(kind: CheckKind, merged: Fields) -> bool:
    """Whether a byte is said: half-open looks have none to wrap."""
    if kind is CheckKind.HL7:
        return bool((merged["hl7"] or {}).get("message"))
    return kind is not CheckKind.TCP or merged["tcp"] is not None


def _question(kind: CheckKind, merged: Fields, path: Path, faults: list[Fault]) -> Question | None:
    """None where what the kind needs is missing."""
    needed = _NEEDS.get(kind)
    if needed is not None and merged[needed] is None:
        place = (*path, needed)
        if not any(fault.path[: len(place)] == place for fault in faults):
            what = f"A check of kind {kind} needs '{needed}'."
            faults.append(Fault(place, what, f"Add it: {_EXAMPLES[needed]}."))
        return None
    made = {
        key: None
        if merged[key] is None or key not in KEYS[kind]
        else make(CHECK.by_name[key].kind, merged[key])
        for key in _RECORDS
    }
    if needed is not None and made[needed] is None:
        return None
    return _asked(kind, made)


_EXAMPLES = {
    "dns": "dns: {name: pacs.example.org}",
    "command": "command: {program: /usr/local/lib/willis/check}",
}


def _asked(kind: CheckKind, made: Fields) -> Question:
    tls: ServerTls | None = made["tls"]
    match kind:
        case CheckKind.TCP:
            talk: Talk | None = made["tcp"]
            return HalfOpen() if talk is None else TcpTalk(talk, tls)
        case CheckKind.PING:
            return Ping()
        case CheckKind.DICOM_ECHO | CheckKind.DICOM_FIND | CheckKind.DICOM_STORE:
            return Dicom(kind, made["dicom"] or DicomAsk(), tls)
        case CheckKind.HL7:
            ask: Hl7Ask | None = made["hl7"]
            return Hl7Connect() if ask is None or ask.message is None else Hl7(ask, tls)
        case CheckKind.DNS:
            return Dns(made["dns"])
        case CheckKind.COMMAND:
            return Command(made["command"])
        case CheckKind.ON | CheckKind.OFF:
            return Fixed(kind)
        case _:
            if kind is CheckKind.HTTPS:
                tls = tls or ServerTls()
            return Http(kind, made["http"] or HttpAsk(), tls)


def parts(question: Question) -> dict[str, Any]:
    """The records that ``build_check`` makes ``question`` of: values of the model by key."""
    match question:
        case TcpTalk(talk, tls):
            return _given({"tcp": talk, "tls": tls})
        case Http(kind, ask, tls):
            unsaid = kind is CheckKind.HTTPS and tls == ServerTls()
            return _given({"http": None if ask == HttpAsk() else ask, "tls": None if unsaid else tls})
        case Dicom(_, ask, tls):
            return _given({"dicom": None if ask == DicomAsk() else ask, "tls": tls})
        case Hl7(ask, tls):
            return _given({"hl7": ask, "tls": tls})
        case Dns(ask):
            return {"dns": ask}
        case Command(ask):
            return {"command": ask}
        case _:
            return {}


def _given(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value is not None}
