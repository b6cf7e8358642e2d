"""Which OCSP answers may be stapled."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.x509 import ocsp

from tests.unit.acme.authority import NOW, answer, make
from willis.acme.ocsp import Unfit, judge, question, responder_of

CA = make("Test CA", authority=True)
LEAF = make("pacs.example.org", CA, responder="http://ocsp.example.org/")
HELPER = make("OCSP helper", CA, ocsp_signing=True)


def judged(der: bytes, now=NOW):
    return judge(der, LEAF.certificate, CA.certificate, now)


def test_a_good_answer_is_a_staple_with_its_validity() -> None:
    der = answer(LEAF, CA)
    staple = judged(der)
    assert (staple.der, staple.since, staple.until) == (
        der,
        NOW - timedelta(hours=1),
        NOW + timedelta(hours=1),
    )


def test_a_responder_that_the_issuer_named_may_sign() -> None:
    assert judged(answer(LEAF, CA, by=HELPER))


def test_an_answer_without_an_end_counts_for_an_hour() -> None:
    since = NOW - timedelta(minutes=5)
    assert judged(answer(LEAF, CA, since=since, until=None)).until == since + timedelta(hours=1)


@pytest.mark.parametrize(
    ("der", "why"),
    [
        (b"no answer", "no OCSP response"),
        (ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER), "try later"),
        (answer(make("other", CA), CA), "another certificate"),
        (answer(LEAF, CA, by=make("Stranger", authority=True)), "not signed"),
        (answer(LEAF, CA, by=make("no helper", CA)), "not signed"),
        (
            answer(LEAF, CA, by=make("old helper", CA, ocsp_signing=True, life=timedelta(hours=1))),
            "not signed",
        ),
        (
            answer(LEAF, CA, since=NOW + timedelta(hours=1), until=NOW + timedelta(hours=2)),
            "compare the clocks",
        ),
        (answer(LEAF, CA, until=NOW), "counted only until"),
        (answer(LEAF, CA, status=ocsp.OCSPCertStatus.REVOKED), "REVOKED"),
        (answer(LEAF, CA, status=ocsp.OCSPCertStatus.UNKNOWN), "does not know"),
    ],
)
def test_every_other_answer_is_refused_with_the_reason(der, why: str) -> None:
    if not isinstance(der, bytes):
        from cryptography.hazmat.primitives.serialization import Encoding

        der = der.public_bytes(Encoding.DER)
    with pytest.raises(Unfit, match=why):
        judged(der)


def test_a_flipped_bit_is_noticed() -> None:
    der = bytearray(answer(LEAF, CA))
    der[len(der) // 4] ^= 1
    with pytest.raises(Unfit):
        judged(bytes(der))


def test_only_plain_http_responders_are_asked() -> None:
    assert responder_of(LEAF.certificate) == "http://ocsp.example.org/"
    assert responder_of(make("x", CA).certificate) is None
    assert responder_of(make("x", CA, responder="ldap://ocsp.example.org/").certificate) is None
    asked = ocsp.load_der_ocsp_request(question(LEAF.certificate, CA.certificate))
    assert asked.serial_number == LEAF.certificate.serial_number
