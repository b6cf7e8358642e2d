"""Where HTTP-01 is answered, and that the real binary takes it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import dr, site, web
from willis.engines.haproxy import challenge, write
from willis.engines.haproxy.compile import CONFIG, HaproxyFiles, compile_l7
from willis.engines.haproxy.process import binary
from willis.engines.port import EngineError
from willis.model.config import Acme, AcmeCertificate, Config
from willis.model.proxy import Http, Tls
from willis.model.status import Status

THUMB = "Dv0xw8ID4VbFC1eN6JTxPzJpnpAwKVj2_zlUFBc3DBk"
FILES = replace(HaproxyFiles.under(Path("/run/willis"), Path("/var/lib/willis")), thumbprint=THUMB)
LINE = (
    '    http-request return status 200 content-type text/plain lf-string "%[path,field(-1,/)].'
    f"{THUMB}\" if {{ path -m reg '^/\\.well-known/acme-challenge/[A-Za-z0-9_-]{{1,128}}\\z' }}\n"
)
ACME = Acme("https://ca.example.org/dir", certificates=(AcmeCertificate("pacs", ("pacs.example.org",)),))


def text(config: Config, files: HaproxyFiles = FILES) -> str:
    return str(compile_l7(config, Status(), files=files)[CONFIG])


def secure(**changes: object):
    return web(ports=(443,), tls=Tls(("pacs",)), **changes)


def ordered(*services) -> Config:
    return replace(site(*services), acme=ACME)


def test_plain_http_on_port_80_answers_and_only_there() -> None:
    assert text(site(web(ports=(80,)))).count(LINE) == 1
    assert LINE not in text(site(web(ports=(8080,))))
    assert LINE not in text(site(web(ports=(80,))), replace(FILES, thumbprint=None))


def test_a_vip_without_port_80_gets_a_frontend_for_challenges_alone() -> None:
    service = secure()
    assert challenge.vips(ordered(service)) == (service.vip,)
    writer = write.Writer()
    challenge.frontend(writer, (service.vip,), FILES, True)
    assert writer.text() == (
        f"frontend willis.acme from willis-http-front\n    bind {service.vip}:80 transparent\n{LINE}"
        "    http-request deny deny_status 404\n"
    )


def test_no_such_frontend_where_port_80_is_taken_or_nothing_is_ordered() -> None:
    service = secure()
    for other in (
        dr("Other", 1, 80),
        replace(secure(http=Http(https_from=(80,))), name="Other"),
        web("Other", ports=(80,)),
    ):
        assert challenge.vips(ordered(service, replace(other, vip=service.vip))) == ()
    assert challenge.vips(site(service)) == ()
    assert challenge.vips(ordered(replace(service, tls=Tls(("another",))))) == ()


@pytest.mark.parametrize("bad", ["", "a" * 42, "a" * 44, 'a"' + "a" * 41, "%" + "a" * 42, "a" * 43 + "\n"])
def test_nothing_but_a_thumbprint_gets_into_the_file(bad: str) -> None:
    with pytest.raises(write.TokenError):
        write.challenge(bad)


def test_the_real_binary_accepts_it_without_a_warning(tmp_path: Path) -> None:
    try:
        argv = [binary(), "-dW", "-c", "-f"]
    except EngineError as error:
        pytest.skip(str(error))
    service = secure()
    writer = write.Writer()
    challenge.frontend(writer, (service.vip,), FILES, True)
    whole = text(site(web(ports=(80,)))).replace(FILES.server_state, str(tmp_path / "servers"))
    (tmp_path / "servers").write_text("1\n")
    (tmp_path / "haproxy.cfg").write_text(f"{whole}\n{writer.text()}\n")
    done = subprocess.run(
        [*argv, str(tmp_path / "haproxy.cfg")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
