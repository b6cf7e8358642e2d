"""The web process's certificates: made once, replaced while it runs, refused in words."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from willis.web import tls
from willis.web.certificate import fingerprint, made_once, make


def test_it_is_made_once_for_all_names(tmp_path: Path) -> None:
    certificate, key = made_once(tmp_path, ["lb1", "10.60.0.2", "2001:db8::2"])
    first = certificate.read_bytes()
    assert made_once(tmp_path, ["other"]) == (certificate, key)
    assert certificate.read_bytes() == first
    names = x509.load_pem_x509_certificate(first).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["lb1"]
    assert sorted(map(str, names.value.get_values_for_type(x509.IPAddress))) == ["10.60.0.2", "2001:db8::2"]


def _put(files: tls.Files, name: str) -> str:
    certificate, key = make([name], datetime.now(UTC))
    files.certificate.write_bytes(certificate)
    files.key.write_bytes(key)
    return fingerprint(certificate)


def test_a_replaced_certificate_counts_and_a_broken_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_LOOK_S", 0.02)
    files = tls.Files(tmp_path / "c.pem", tmp_path / "k.pem")
    first = _put(files, "lb1")

    async def drive() -> None:
        found = tls.Tls(files)
        assert found.fingerprint == first
        following = asyncio.create_task(found.follow())
        files.key.write_bytes(make(["other"], datetime.now(UTC))[1])
        await asyncio.sleep(0.2)
        assert found.fingerprint == first
        second = _put(files, "lb2")
        async with asyncio.timeout(60):
            while found.fingerprint != second:
                await asyncio.sleep(0.02)
        assert await _shown(found.context) == second
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    asyncio.run(drive())


async def _shown(context: ssl.SSLContext) -> str:
    """What a client is shown."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
    return fingerprint(pem.encode())


def test_files_that_do_not_fit_are_refused_with_the_reason(tmp_path: Path) -> None:
    files = tls.Files(tmp_path / "c.pem", tmp_path / "k.pem")
    with pytest.raises(tls.TlsError, match="cannot read"):
        tls.Tls(files)
    _put(files, "lb1")
    files.certificate.write_text("nonsense")
    with pytest.raises(tls.TlsError, match="must be PEM"):
        tls.Tls(files)
