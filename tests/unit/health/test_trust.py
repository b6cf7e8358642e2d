"""TLS of checks: what it trusts comes from the certificate store, and follows it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.pki import Root, pem
from willis.certificates.store import CertificateStore
from willis.health.faults import Ended
from willis.health.trust import Trust
from willis.model.proxy import ServerTls
from willis.model.status import Verdict


@pytest.fixture
def store(tmp_path: Path) -> CertificateStore:
    found = CertificateStore(tmp_path / "certificates")
    found.put_authority("ours", pem(Root("One").certificate))
    return found


def subjects(context: ssl.SSLContext) -> str:
    return repr([authority["subject"] for authority in context.get_ca_certs()])


def test_a_context_is_made_once_and_again_when_its_file_changed(store: CertificateStore) -> None:
    trust, tls = Trust(store), ServerTls("ours")
    first = trust.context(tls)
    assert trust.context(tls) is first
    assert "One" in subjects(first)
    store.put_authority("ours", pem(Root("Two").certificate))
    assert "Two" in subjects(trust.context(tls))


def test_servers_are_verified_unless_the_document_says_otherwise() -> None:
    strict, lax = Trust().context(ServerTls()), Trust().context(ServerTls(verify=False))
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_NONE, False)
    assert strict.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("tls", [ServerTls("nobody"), ServerTls(certificate="nobody")])
def test_what_the_store_lacks_is_our_own_fault(store: CertificateStore, tls: ServerTls) -> None:
    for trust in (Trust(store), Trust()):
        with pytest.raises(Ended, match="does not give nobody for this check") as told:
            trust.context(tls)
        assert told.value.verdict is Verdict.UNKNOWN
