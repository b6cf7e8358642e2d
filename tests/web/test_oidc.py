"""Signing in with a real OpenID provider, from the browser's first click to a session with rights."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.pki import Root, pem
from tests.web.node import Node

pytestmark = pytest.mark.lab
provider_mock = pytest.importorskip("oidc_provider_mock", reason="oidc-provider-mock is not installed")
serving = pytest.importorskip("werkzeug.serving")

DOCUMENT = """
version: 1
site: access
interfaces:
  lo: {{addresses: [127.0.0.1/8]}}
hosts: {{}}
access:
  oidc:
    issuer: {issuer}
    client-id: willis
    secret: oidc-client
    authority: provider
    grants:
      - {{group: PACS Administrators, role: admin}}
      - {{group: CT, role: operator, services: "Dicom*"}}
services: {{}}
"""


@dataclass(frozen=True)
class Site:
    node: Node
    issuer: str
    provider: httpx.Client
    """Speaks to the provider."""

    def user(self, sub: str, **claims: object) -> None:
        self.provider.put(f"/users/{sub}", json={"sub": sub, **claims}).raise_for_status()

    def ends_at(self, browser: httpx.Client, sub: str) -> httpx.URL:
        """Where the provider sends the browser after ``sub`` signed in there."""
        begin = browser.get("/login/oidc")
        assert begin.status_code == 303, begin.text
        back = self.provider.post(begin.headers["location"], data={"sub": sub})
        assert back.status_code == 302, back.text
        return httpx.URL(back.headers["location"])


@pytest.fixture(scope="module")
def site(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    place = tmp_path_factory.mktemp("provider")
    authority = Root("provider")
    issued = authority.issue("localhost")
    for name, content in (("ca", pem(authority.certificate)), ("c", issued.pem), ("k", issued.key_pem)):
        (place / f"{name}.pem").write_bytes(content)
    server = serving.make_server(
        "127.0.0.1", 0, provider_mock.app(), threaded=True, ssl_context=(place / "c.pem", place / "k.pem")
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    issuer = f"https://localhost:{server.port}"
    (place / "site.yaml").write_text(DOCUMENT.format(issuer=issuer))
    try:
        node.willis("certificate", "authority", "add", "provider", str(place / "ca.pem"))
        node.willis("secret", "set", "oidc-client", stdin="s3cret\n")
        node.willis("apply", str(place / "site.yaml"))
        with httpx.Client(base_url=issuer, verify=str(place / "ca.pem"), timeout=60) as client:
            yield Site(node, issuer, client)
    finally:
        server.shutdown()
        thread.join()


def test_a_member_of_a_group_gets_that_groups_role(site: Site) -> None:
    site.user("7f3a", preferred_username="ann", groups=["CT", "Cafeteria"])
    with site.node.browser() as browser:
        begin = browser.get("/login/oidc")
        asked = {key: value[0] for key, value in parse_qs(urlsplit(begin.headers["location"]).query).items()}
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["code_challenge"]) == 43
        assert asked["redirect_uri"] == f"https://127.0.0.1:{site.node.port}/login/oidc/callback"
        assert "SameSite=Lax" in begin.headers["set-cookie"]
        done = browser.get(site.ends_at(browser, "7f3a"))
        assert done.status_code == 303
        assert done.headers["location"] == "/"
        assert "__Host-willis-oidc" not in browser.cookies
        me = browser.get("/api/v1/me").json()
        assert me["name"] == "oidc:ann"
        assert me["grants"] == [{"role": "operator", "services": ["Dicom*"]}]
        assert browser.get("/api/v1/users").status_code == 403


def test_who_is_in_no_group_does_not_get_in(site: Site) -> None:
    site.user("8b1c", preferred_username="bob", groups=["Cafeteria"])
    with site.node.browser() as browser:
        done = browser.get(site.ends_at(browser, "8b1c"))
        assert done.status_code == 401
        assert "none of their groups" in done.text
        assert browser.get("/api/v1/me").status_code == 401


def test_a_code_serves_once_and_only_the_browser_that_asked(site: Site) -> None:
    site.user("7f3a", preferred_username="ann", groups=["PACS Administrators"])
    with site.node.browser() as victim, site.node.browser() as attacker:
        stolen = site.ends_at(victim, "7f3a")
        assert attacker.get(stolen).status_code == 403
        attacker.get("/login/oidc")
        assert attacker.get(stolen).status_code == 403
        kept = victim.cookies["__Host-willis-oidc"]
        assert victim.get(stolen).status_code == 303
        again = victim.get(stolen, headers={"Cookie": f"__Host-willis-oidc={kept}"})
        assert again.status_code == 401


def test_a_code_of_another_sign_in_is_not_taken_in_with_ones_own_state(site: Site) -> None:
    """An attacker's code put into a victim's answer would sign the victim in as the attacker."""
    site.user("evil", preferred_username="eve", groups=["CT"])
    with site.node.browser() as attacker, site.node.browser() as victim:
        theirs = site.ends_at(attacker, "evil")
        own = site.ends_at(victim, "evil")
        mixed = own.copy_set_param("code", theirs.params["code"])
        assert victim.get(mixed).status_code == 401
        assert victim.get("/api/v1/me").status_code == 401


def test_a_refusal_of_the_provider_is_said_and_shown_as_text(site: Site) -> None:
    with site.node.browser() as browser:
        begin = browser.get("/login/oidc")
        state = parse_qs(urlsplit(begin.headers["location"]).query)["state"][0]
        answer = browser.get("/login/oidc/callback", params={"state": state, "error": "<script>x</script>"})
        assert answer.status_code == 403
        assert "&lt;script&gt;" in answer.text
        assert "<script>" not in answer.text
