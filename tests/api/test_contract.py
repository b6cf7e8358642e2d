"""The contract is true: what schemathesis makes of it fails nothing, and answers are as it says."""

from __future__ import annotations

import asyncio
import copy
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi import checks

from tests.api.test_api import DOCUMENT, Site, Story, tell
from tests.pki import Root, pem
from willis.api.answers import ANSWERS
from willis.model.status import Verdict

__all__ = ["tell"]

ENDLESS = ("/follow", "/stream")
COSTLY = ("/backup", "/setup", "/login", "/users/{name}", "/me/password")
"""Each runs a function that takes long on purpose; their own tests cover them."""


def test_main_answers_have_the_shapes_that_scripts_rely_on(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        applied = await s.post("/apply", document=DOCUMENT, confirm_s=None)
        assert applied["changed"] is True
        assert (await s.post("/apply", document=DOCUMENT))["changed"] is False
        s.see(Verdict.UP)
        s.see(Verdict.DEAD, "vna2")
        order = await s.post("/drain", where="vna1")
        s.controller.events.look()
        contract = await s.get("/openapi.json")
        for method, path, answer in (
            ("POST", "/apply", applied),
            ("POST", "/drain", order),
            ("POST", "/validate", await s.post("/validate", document="x")),
            ("POST", "/plan", await s.post("/plan", document=DOCUMENT.replace("8237", "8238"))),
            *[
                ("GET", path, await s.get(path))
                for path in ("/status", "/checks", "/history", "/events", "/audit")
            ],
        ):
            answered = ANSWERS[method, f"/api/v1{path}"]
            exact(contract, answered.__name__, answer)
        where = "VitreaRead/vna2"
        exact(contract, "ExplainAnswer", await s.get(f"/explain/{where}"))
        exact(contract, "AskedAnswer", await s.post(f"/check/{where}"))

    tell(story)


def test_answers_about_certificates_have_the_shapes_that_scripts_rely_on(
    tell: Callable[[Story], None], tmp_path: Path
) -> None:
    async def story(s: Site) -> None:
        root = Root("Hospital Root")
        contract = await s.get("/openapi.json")

        async def asked(method: str, path: str, name: str = "", **body: object) -> None:
            answer = await s.http.request(method, path.format(name=name), json=body or None)
            assert answer.status_code == 200, answer.text
            exact(contract, ANSWERS[method, f"/api/v1{path}"].__name__, answer.json())

        one, authority = "/certificates/{name}", "/authorities/{name}"
        await asked("PUT", one, "pacs", files=[_given(root.issue("pacs.example").pem_with_key)])
        await asked("POST", f"{one}/request", "new", domains=["new.example"])
        (tmp_path / "odd.pem").write_text("nothing")
        await asked("GET", "/certificates")
        await asked("GET", one, "pacs")
        await asked("DELETE", one, "pacs")
        await asked("PUT", authority, "hospital", files=[_given(pem(root.certificate))])
        await asked("GET", "/authorities")
        await asked("DELETE", authority, "hospital")

    tell(story)


def _given(file: bytes) -> str:
    return b64encode(file).decode()


def exact(contract: dict[str, Any], name: str, answer: object) -> None:
    """An answer has all that the schema names and nothing besides."""
    closed = copy.deepcopy(contract)
    for shape in closed["components"]["schemas"].values():
        if "properties" in shape:
            shape["additionalProperties"] = False
    jsonschema.validate(answer, closed | {"$ref": f"#/components/schemas/{name}"})


def test_every_operation_is_described(tell: Callable[[Story], None]) -> None:
    async def story(s: Site) -> None:
        contract = await s.get("/openapi.json")
        assert contract["openapi"].startswith("3.1")
        for path, operations in contract["paths"].items():
            for method, operation in operations.items():
                assert operation["description"], f"{method} {path}"
                assert operation["responses"]["default"]
                assert bool(operation["security"]) is (operation["x-willis-needs"] != "nothing")

    tell(story)


def test_whatever_is_sent_is_answered_as_the_contract_says(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    site = loop.run_until_complete(_made(tmp_path))
    document = loop.run_until_complete(site.get("/openapi.json"))
    schema = schemathesis.openapi.from_dict(document)
    load_all_checks()
    wanted = [
        schemathesis.checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]

    async def send(case: schemathesis.Case) -> httpx.Response:
        kwargs = case.as_transport_kwargs(base_url="http://engine")
        kwargs.pop("cookies", None)
        request = site.http.build_request(
            kwargs["method"],
            kwargs["url"],
            params=kwargs.get("params"),
            headers={k: str(v).encode("utf-8", "replace") for k, v in kwargs.get("headers", {}).items()},
            json=kwargs.get("json"),
            content=kwargs.get("data") if isinstance(kwargs.get("data"), bytes | str) else None,
        )
        return await site.http.send(request)

    tried = 0
    try:
        for result in schema.get_all_operations():
            operation = result.ok()
            if operation.path.endswith(ENDLESS) or any(part in operation.path for part in COSTLY):
                continue

            @settings(
                max_examples=6,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                verbosity=Verbosity.quiet,
            )
            @given(case=operation.as_strategy())
            def attempt(case: schemathesis.Case) -> None:
                nonlocal tried
                tried += 1
                case.validate_response(loop.run_until_complete(send(case)), checks=wanted)

            attempt()
    finally:
        loop.run_until_complete(site.http.aclose())
        loop.run_until_complete(site.controller.close())
        loop.close()
    assert tried > 200


async def _made(path: Path) -> Site:
    site = Site(path)
    await site.post("/apply", document=DOCUMENT)
    site.see(Verdict.UP)
    return site
