"""The store: what it takes, what it refuses, and that a refusal leaves the good one."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from tests.pki import Issued, Root, pem
from willis.certificates.store import CertificateError, CertificateStore

ROOT = Root("Hospital Root")
MIDDLE = ROOT.intermediate("Hospital Issuing CA")


@pytest.fixture
def store(tmp_path: Path) -> CertificateStore:
    return CertificateStore(tmp_path / "tls")


def good(*names: str) -> Issued:
    return MIDDLE.issue(*(names or ("pacs.example.org",)))


def test_key_and_chain_come_in_any_order_and_number_of_files(store: CertificateStore) -> None:
    one = good("pacs.example.org", "10.0.0.1")
    stored = store.put("pacs", pem(ROOT.certificate) + pem(MIDDLE.certificate), one.key_pem, one.pem)
    assert stored.facts.names == ("pacs.example.org", "10.0.0.1")
    assert stored.chain == (one.pem + pem(MIDDLE.certificate) + pem(ROOT.certificate)).decode()
    assert store.read("pacs").chain == stored.chain
    assert store.names() == ["pacs"]


def test_pfx_needs_its_passphrase(store: CertificateStore) -> None:
    one = good()
    pfx = serialize_key_and_certificates(
        b"x", one.key, one.certificate, [MIDDLE.certificate], BestAvailableEncryption(b"secret")
    )
    for wrong in (None, "guess"):
        with pytest.raises(CertificateError, match="passphrase"):
            store.put("pacs", pfx, passphrase=wrong)
    assert store.put("pacs", pfx, passphrase="secret").chain.count("BEGIN") == 2


def test_an_encrypted_key_needs_its_passphrase(store: CertificateStore) -> None:
    one = good()
    key = one.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    with pytest.raises(CertificateError, match="--passphrase-file"):
        store.put("pacs", one.pem, key)
    store.put("pacs", one.pem, key, passphrase="secret")
    assert "ENCRYPTED" not in store.path("pacs").read_text()


def test_files_are_for_their_owner_only(store: CertificateStore) -> None:
    store.put("pacs", good().pem_with_key)
    store.request("other", ["a.example"])
    store.put_authority("hospital", pem(ROOT.certificate))
    for path in (store.directory, *store.directory.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


OLD = MIDDLE.issue("pacs.example.org", start=-timedelta(days=90), days=60)
SOON = MIDDLE.issue("pacs.example.org", start=timedelta(days=1))
WEAK = MIDDLE.issue("pacs.example.org", key=rsa.generate_private_key(65537, 1024))
BAD = {
    "expired": (OLD.pem_with_key, "expired"),
    "not yet valid": (SOON.pem_with_key, "not valid before"),
    "weak": (WEAK.pem_with_key, "too weak"),
    "another's key": (good().pem + good().key_pem, "does not belong"),
    "two keys": (good().pem_with_key + good().pem_with_key, "2 private keys"),
    "cut": (good().pem[:300], "neither a whole certificate"),
    "spoilt": (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "broken"),
    "no file of ours": (b"\x00\x01", "neither PEM nor DER"),
    "key only": (good().key_pem, "no certificate"),
    "huge": (b"x" * 300_000, "larger"),
}


@pytest.mark.parametrize("case", BAD)
def test_nothing_bad_replaces_a_good_one(store: CertificateStore, case: str) -> None:
    first = store.put("pacs", good().pem_with_key)
    content, why = BAD[case]
    before = store.path("pacs").read_bytes()
    with pytest.raises(CertificateError, match=why):
        store.put("pacs", content)
    assert store.path("pacs").read_bytes() == before
    assert store.read("pacs").facts == first.facts


def test_other_names_are_told(store: CertificateStore) -> None:
    assert store.put("pacs", good("a.example", "b.example").pem_with_key).warnings == ()
    (said,) = store.put("pacs", good("b.example", "c.example").pem_with_key).warnings
    assert "no longer serves a.example" in said


def test_a_requested_certificate_meets_its_key(store: CertificateStore) -> None:
    text = store.request("pacs", ["pacs.example.org", "10.0.0.1"])
    again = store.request("pacs", ["pacs.example.org"])
    first, second = (x509.load_pem_x509_csr(t.encode()) for t in (text, again))
    assert first.public_key() == second.public_key(), "asking again keeps the key"
    assert store.pending() == ["pacs"]
    with pytest.raises(CertificateError, match="does not belong"):
        store.put("pacs", good().pem)
    signed = MIDDLE.sign(first.public_key(), "pacs.example.org")
    stored = store.put("pacs", pem(signed))
    assert stored.facts.fingerprint == signed.fingerprint(hashes.SHA256()).hex()
    assert store.pending() == []
    renewed = MIDDLE.sign(first.public_key(), "pacs.example.org")
    assert store.put("pacs", pem(renewed)).key == stored.key, "a renewal may keep the key"


@pytest.mark.parametrize("domain", ["a b", "x\n", "", "-a.example", "a..b", "*.*.a", "/etc"])
def test_a_request_takes_host_names_only(store: CertificateStore, domain: str) -> None:
    with pytest.raises(CertificateError, match="host name"):
        store.request("pacs", [domain])


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "x\n", "x" * 64])
def test_names_are_ids(store: CertificateStore, name: str) -> None:
    for act in (store.path, store.read, store.remove, store.authority_path, store.remove_authority):
        with pytest.raises(CertificateError):
            act(name)


def test_holdings_name_the_content(store: CertificateStore) -> None:
    assert store.holdings().certificates == frozenset()
    store.put("pacs", good().pem_with_key)
    first = store.holdings()
    assert store.holdings() == first
    store.put("pacs", good().pem_with_key)
    assert store.holdings() != first
    store.put_authority("hospital", pem(ROOT.certificate))
    assert {name for name, _ in store.holdings().authorities} == {"hospital"}
    store.remove("pacs")
    assert store.holdings().certificates == frozenset()


def test_a_file_broken_by_hand_counts_as_what_it_was(store: CertificateStore) -> None:
    store.put("pacs", good().pem_with_key)
    before = store.holdings()
    store.path("pacs").write_text("rubbish")
    store.path("stray").write_text("rubbish")
    assert store.holdings() == before
    asked = x509.load_pem_x509_csr(store.request("pacs", ["pacs.example.org"]).encode())
    store.put("pacs", pem(MIDDLE.sign(asked.public_key(), "pacs.example.org")))
    assert store.holdings() != before


def test_a_new_certificate_drops_the_staple_of_the_old(store: CertificateStore) -> None:
    store.put("pacs", good().pem_with_key)
    store.staple("pacs", b"der")
    assert store.read("pacs").staple == b"der"
    assert store.put("pacs", good().pem_with_key).staple is None
    assert store.read("pacs").staple is None


def test_only_authorities_are_trusted(store: CertificateStore) -> None:
    with pytest.raises(CertificateError, match="not an authority"):
        store.put_authority("hospital", good().pem)
    store.put_authority("hospital", pem(ROOT.certificate) + pem(MIDDLE.certificate))
    (found,) = store.authorities()
    assert [each.subject for each in found.facts] == ["Hospital Root", "Hospital Issuing CA"]
    store.remove_authority("hospital")
    assert store.authorities() == []
