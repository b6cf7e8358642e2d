"""How loud a check is: about how many lines a day it makes a server write into its log. Pure.

Measured with common servers at their usual log levels; a half-open handshake never reaches
the application, so it makes none.
"""

from __future__ import annotations

from willis.model.check import Check, CheckKind, Fixed, HalfOpen, Hl7Connect, Question

_DAY_S = 86_400
_LINES = {
    CheckKind.TCP: 2,
    CheckKind.HTTP: 1,
    CheckKind.HTTPS: 1,
    CheckKind.DICOMWEB: 1,
    CheckKind.MINT: 1,
    CheckKind.FHIR: 1,
    CheckKind.DICOM_ECHO: 6,
    CheckKind.DICOM_FIND: 8,
    CheckKind.DICOM_STORE: 10,
    CheckKind.HL7: 2,
    CheckKind.DNS: 1,
}
"""Lines of one look: dcmtk, Orthanc and pynetdicom at INFO, access logs of web servers, MLLP receivers."""


def lines_a_day(check: Check) -> int:
    """Of the light and the deep question together, for one server."""
    looks = _DAY_S / check.interval_s
    lines = looks * _of(check.question)
    if check.deep is not None:
        deep = looks / (check.deep.every + 1)
        lines = (looks - deep) * _of(check.question) + deep * _of(check.deep.question)
    return round(lines)


def _of(question: Question) -> int:
    if isinstance(question, HalfOpen | Hl7Connect | Fixed):
        return 0
    return _LINES.get(question.kind, 0)
