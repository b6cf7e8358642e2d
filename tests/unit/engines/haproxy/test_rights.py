"""Who HAProxy's workers are: they give up root wherever the installed HAProxy lets them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import dr, seen, site
from willis.engines.haproxy.compile import CONFIG, HaproxyFiles, compile_l7
from willis.model.service import Forwarding

FILES = HaproxyFiles.under(Path("/run/willis"), Path("/var/lib/willis"))
CASES = {
    "not of root": (None, False, True, []),
    "of root": ("haproxy", False, False, ["user haproxy", "group haproxy", "chroot /run/willis/haproxy"]),
    "transparent, before 3.0": (
        "haproxy",
        False,
        True,
        ["group haproxy", "chroot /run/willis/haproxy"],
    ),
    "transparent, 3.0": (
        "haproxy",
        True,
        True,
        ["user haproxy", "group haproxy", "chroot /run/willis/haproxy", "setcap cap_net_raw"],
    ),
    "3.0 and nothing transparent": (
        "haproxy",
        True,
        False,
        ["user haproxy", "group haproxy", "chroot /run/willis/haproxy"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_workers_keep_no_more_than_they_need(case: str) -> None:
    user, keeps, transparent, expected = CASES[case]
    config = site(dr(forwarding=Forwarding.PROXY, transparent=transparent))
    files = replace(FILES, user=user, since_3_0=keeps)
    lines = str(compile_l7(config, seen(config), files=files)[CONFIG]).splitlines()
    words = ("user ", "group ", "chroot ", "setcap ")
    assert [line.strip() for line in lines if line.strip().startswith(words)] == expected
