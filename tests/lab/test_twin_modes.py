"""Every mode in every topology and family: the twin's hosts need nothing but the document."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from tests.lab.drill import ROOT, Drill, wait_until
from willis.lab import data, probe
from willis.lab.hosts import ARCHIVE_PORT

pytestmark = pytest.mark.lab

ALL_MODES = (ROOT / "examples" / "all-modes.yaml").read_text()
CANON = (ROOT / "examples" / "canon.yaml").read_text()
WITHOUT_DR = ALL_MODES.replace("forwarding: dr", "forwarding: nat").replace("    one-packet: true\n", "")
IPV6 = ("10.60.0.2/24", '"2001:db8:60::2/64"'), ("10.60.0.", "2001:db8:60::"), ("10.70.0.", "2001:db8:70::")


XDP = ALL_MODES.replace("[10.60.0.2/24]", "[10.60.0.2/24]\n    attach: xdp")


def in_ipv6(text: str) -> str:
    for four, six in IPV6:
        text = text.replace(four, six)
    return text


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("document", "topology"),
    [(ALL_MODES, "one-arm"), (ALL_MODES, "two-arm"), (WITHOUT_DR, "routed"), (XDP, "two-arm")],
    ids=["one-arm", "two-arm", "routed", "xdp"],
)
def test_all_traffic_is_proved(
    document: str, topology: str, family: int, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(document if family == 4 else in_ipv6(document))
    base = tmp_path_factory.mktemp("m")
    with Drill.of(str(site), base, "--topology", topology) as drill:
        answer = json.loads(drill.lab("traffic", "--json", timeout=240))
    assert answer["ok"], [row for row in answer["rows"] if not row["ok"]]
    modes = {row["mode"] for row in answer["rows"]}
    assert modes == {"L4 NAT", "L4 SNAT", "L7 proxy"} | ({"L4 DR"} if "forwarding: dr" in document else set())


@pytest.mark.parametrize("mode", ["dr", "nat", "snat"])
def test_orthanc_takes_a_study_and_moves_it_back_to_the_modality(
    mode: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """C-MOVE: the archive opens an association of its own to the modality, by the host's own way."""
    lacking = probe.missing_for_orthanc()
    if lacking:
        pytest.skip(f"there is no Orthanc here; missing: {'; '.join(lacking)}")
    site, received = tmp_path / "site.yaml", tmp_path / "received"
    site.write_text(CANON.replace("forwarding: dr", f"forwarding: {mode}"))
    received.mkdir()
    options = ("--servers", "1", "--with", "orthanc", "--topology", "two-arm")
    with Drill.of(str(site), tmp_path_factory.mktemp("m"), *options) as drill:
        vip, sent = drill.status("DicomRouting")["services"][0]["vip"], data.mr(0)
        drill.run("client1", "storescu", vip, "11112", *map(str, sent))
        _introduce(drill, "CLIENT1", "198.51.100.10")
        # -dhl: no look-up of names, since no name server answers in the twin.
        modality = drill.start("client1", "storescp", "-dhl", "-od", str(received), "11113")
        try:
            wait_until(lambda: _answers(drill), "the modality answers")
            study = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={_study(sent)}")
            drill.run("client1", "movescu", "-S", "-aet", "CLIENT1", "-aem", "CLIENT1", *study, vip, "11112")
        finally:
            modality.kill()
            modality.communicate()
    assert sorted(map(data.digest, received.iterdir())) == sorted(map(data.digest, sent))


def _introduce(drill: Drill, title: str, address: str) -> None:
    """Tell Orthanc where a modality is."""
    url = f"http://127.0.0.1:{ARCHIVE_PORT}/modalities/{title.lower()}"
    drill.run("vna1", "curl", "-sf", "-X", "PUT", "--data", json.dumps([title, address, 11113]), url)


def _answers(drill: Drill) -> bool:
    caller = drill.start("client1", "echoscu", "127.0.0.1", "11113")
    caller.communicate()
    return caller.returncode == 0


def _study(files: list[Path]) -> str:
    return str(pydicom.dcmread(files[0]).StudyInstanceUID)
