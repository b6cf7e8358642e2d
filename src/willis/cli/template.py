"""``willis template``: vendor deployments as documents with a few questions. Needs no engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.markup import escape

from willis import templates
from willis.cli import show
from willis.terminal import table

app = typer.Typer(no_args_is_help=True, help="Vendor deployments as documents with a few questions.")

Name = Annotated[str, typer.Argument(help="A name from 'willis template list'")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer for programs")]


@contextmanager
def _telling() -> Iterator[None]:
    """Every fault of the answers at once, and exit code 1."""
    try:
        yield
    except templates.TemplateError as error:
        problems = [show.problem(p) for p in error.problems]
        show.failure("no document can be made of this", problems)
        raise typer.Exit(1) from None


@app.command("list")
def list_templates(as_json: AsJson = False) -> None:
    """Name the templates."""
    found = [templates.show(name) for name in templates.names()]
    if as_json:
        show.as_json({"templates": [{"name": t.name, "title": t.title} for t in found]})
        return
    grid = table("template", "what it is")
    for template in found:
        grid.add_row(template.name, escape(template.title))
    show.out.print(grid)


@app.command("show")
def show_template(name: Name, as_json: AsJson = False) -> None:
    """Show a template's services and the questions that it asks."""
    with _telling():
        template = templates.show(name)
    if as_json:
        show.as_json(
            {
                "name": template.name,
                "title": template.title,
                "description": template.description,
                "questions": [
                    {"name": q.name, "text": q.text, "type": q.type, "example": q.example}
                    for q in template.questions
                ],
                "services": [
                    {
                        "name": r.name,
                        "port": r.port,
                        "forwarding": r.forwarding.value,
                        "application": r.application.value,
                        "says": r.says,
                    }
                    for r in template.rows
                ],
            }
        )
        return
    show.out.print(f"[bold]{escape(template.title)}[/]\n{escape(template.description)}\n")
    services = table("VIP", "service", "port", "mode", "carries")
    for number, row in enumerate(template.rows, 1):
        services.add_row(str(number), row.name, str(row.port), row.forwarding.value, escape(row.says))
    questions = table("--set", "question", "answer", "example")
    for q in template.questions:
        questions.add_row(q.name, escape(q.text), escape(q.type), escape(q.example))
    show.out.print(services)
    show.out.print(questions)


@app.command()
def render(
    name: Name,
    answers: Annotated[
        list[str] | None, typer.Option("--set", help="An answer, NAME=VALUE; may be given several times")
    ] = None,
) -> None:
    """Print the document; a question without an answer takes its example."""
    given: dict[str, str] = {}
    for answer in answers or []:
        key, equals, value = answer.partition("=")
        if not equals:
            raise typer.BadParameter(f"write NAME=VALUE, not {answer!r}")
        given[key] = f"{given[key]},{value}" if key in given else value
    with _telling():
        show.out.print(templates.render(name, given), markup=False, end="", soft_wrap=True)
