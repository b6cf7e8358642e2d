"""The part of the document that says who else vouches for people."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from willis import config
from willis.control.uses import authority_users, secret_names, secret_users
from willis.model.identity import Role
from willis.model.sign_in import GroupGrant, Oidc, SignIn

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "web.md"
EXAMPLES = re.findall(r"```yaml\n(access:.*?)```", GUIDE.read_text(), re.DOTALL)
REST = """
version: 1
site: access
interfaces: {eth0: {addresses: [10.0.0.2/24]}}
hosts: {}
services: {}
"""


def test_the_guides_examples_load_and_come_back() -> None:
    assert EXAMPLES
    for example in EXAMPLES:
        loaded = config.load(REST + example)
        assert loaded.problems == ()
        assert loaded.config is not None
        assert config.load(config.write(loaded.config)).config == loaded.config


OIDC = """access:
  oidc:
    issuer: https://id.example.org
    client-id: willis
    secret: oidc-client
    authority: hospital
    grants: [{group: CT, role: operator, services: "Dicom*"}]
"""


def test_what_it_makes() -> None:
    found = config.load(REST + OIDC).config
    assert found is not None
    grants = (GroupGrant("CT", Role.OPERATOR, ("Dicom*",)),)
    assert found.access == SignIn(
        Oidc("https://id.example.org", "willis", "oidc-client", grants, authority="hospital")
    )
    assert secret_names(found) == {"oidc-client"}
    assert secret_users(found, "oidc-client") == ["access"]
    assert authority_users(found, "hospital") == ["access"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://id.example.org", "http://id.example.org"),
        ("issuer: https://id.example.org", "#"),
        ("secret: oidc-client", "#"),
        ("role: operator", "role: root"),
        ("group: CT", 'group: "CT\\nadmin"'),
        ('"Dicom*"', '"Dicom*;"'),
    ],
)
def test_what_it_refuses(old: str, new: str) -> None:
    assert config.load(REST + OIDC.replace(old, new)).config is None
