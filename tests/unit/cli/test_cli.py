"""The commands as a shell sees them: answers on standard output, reasons on standard error, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from willis.__main__ import app
from willis.cli import entries
from willis.cli.client import Refusal

ROOT = Path(__file__).parents[3]
CANON = ROOT / "examples" / "canon.yaml"


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin, obj=lambda: None)


def test_validate_reads_a_file_or_standard_input() -> None:
    assert run("validate", str(CANON)).exit_code == 0
    found = run("validate", "-", "--json", stdin=CANON.read_text())
    assert json.loads(found.stdout) == {"ok": True, "problems": []}


def test_validate_lists_every_problem_and_exits_1() -> None:
    broken = CANON.read_text().replace("ports: 2398", "ports: 22:22").replace("ports: 4106", "ports: no")
    found = run("validate", "-", "--json", stdin=broken)
    assert found.exit_code == 1
    problems = json.loads(found.stdout)["problems"]
    assert [p["path"] for p in problems] == ["services.HL7Live.ports", "services.MWL.ports"]
    assert {frozenset(p) for p in problems} == {
        frozenset({"path", "pointer", "line", "severity", "what", "remedy"})
    }


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    found = run("validate", str(tmp_path / "nowhere.yaml"))
    assert found.exit_code == 1
    assert "nowhere.yaml" in found.stderr


def test_the_schema_is_json() -> None:
    assert json.loads(run("schema").stdout)["$schema"].startswith("https://json-schema.org/")


def test_a_template_renders_what_the_example_holds_and_takes_answers() -> None:
    assert run("template", "render", "canon").stdout == CANON.read_text()
    hosts = ("--set", "hosts=pacs1=10.60.0.21", "--set", "hosts=pacs2=10.60.0.22")
    rendered = run("template", "render", "canon", *hosts, "--set", "vips=10.60.0.150")
    assert "pool: [pacs1, pacs2]" in rendered.stdout
    assert "vip: 10.60.0.165" in rendered.stdout


def test_a_bad_answer_is_refused_with_its_name() -> None:
    found = run("template", "render", "canon", "--set", "vips=10.60.0.300")
    assert found.exit_code == 1
    assert "vips" in found.stderr
    assert run("template", "render", "nope").exit_code == 1
    assert run("template", "render", "canon", "--set", "novalue").exit_code == 2


def test_templates_are_listed_and_shown() -> None:
    assert [t["name"] for t in json.loads(run("template", "list", "--json").stdout)["templates"]] == ["canon"]
    shown = json.loads(run("template", "show", "canon", "--json").stdout)
    assert len(shown["services"]) == 16
    assert "DicomRouting" in run("template", "show", "canon").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("plan", str(CANON)),
        ("apply", str(CANON)),
        ("drain", "vna1"),
        ("explain", "MWL/vna1"),
        ("history",),
    ],
)
def test_without_an_engine_every_command_exits_3(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WILLIS_SOCKET", str(tmp_path / "engine.sock"))
    found = run(*arguments)
    assert found.exit_code == 3
    assert "no engine answers" in found.stderr


def test_wrong_usage_exits_2() -> None:
    assert run("explain", "MWL").exit_code == 2
    assert run("drain").exit_code == 2
    assert run("nonsense").exit_code == 2


def test_the_readme_names_only_commands_that_there_are() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "docs/guide/operation.md").read_text()
    commands = set(re.findall(r"willis (lab \w+|template \w+|[a-z]+)", text)) - {"willis"}
    for command in sorted(commands & _spoken(text)):
        assert run(*command.split(), "--help").exit_code == 0, command


def _spoken(text: str) -> set[str]:
    """What stands in code: in backticks or in an indented or fenced block."""
    code = "\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL))
    return set(re.findall(r"willis (lab \w+|template \w+|[a-z]+)", code))


def test_an_entry_is_read_as_strictly_as_a_document(tmp_path: Path) -> None:
    file = tmp_path / "entry.yaml"
    file.write_text("ports: 8080\nsend-to: 'no'\npool: [vna1]\n")
    assert entries.value(file) == {"ports": 8080, "send-to": "no", "pool": ["vna1"]}
    file.write_text("ports: [1, 2\n")
    with pytest.raises(Refusal, match=r"entry\.yaml cannot be read"):
        entries.value(file)
