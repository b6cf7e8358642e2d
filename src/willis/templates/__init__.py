"""Vendor deployments as site documents: a table of services and a few questions.

``names`` and ``show`` tell what there is, ``render`` makes a document of answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from willis import config
from willis.config.problem import Problem, Severity, did_you_mean, shown, suggestion
from willis.templates.answers import AnswerReader
from willis.templates.canon import CANON
from willis.templates.render import document
from willis.templates.template import Question, Row, Template

__all__ = ["Question", "Row", "Template", "TemplateError", "names", "render", "show"]

_TEMPLATES = {template.name: template for template in (CANON,)}


class TemplateError(ValueError):
    """A template that is not there, or answers that make no sound document; with every reason."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def names() -> tuple[str, ...]:
    """The names of all templates."""
    return tuple(_TEMPLATES)


def show(name: str) -> Template:
    """The template of that name. Raises ``TemplateError`` if there is none."""
    if name not in _TEMPLATES:
        hint = did_you_mean(suggestion(name, _TEMPLATES))
        what = f"There is no template {shown(name)}."
        remedy = f"{hint}The templates are {', '.join(_TEMPLATES)}."
        raise TemplateError((Problem("template", 0, Severity.ERROR, what, remedy),))
    return _TEMPLATES[name]


def render(name: str, answers: Mapping[str, str]) -> str:
    """The document of a template; a question without an answer takes its example, and a comment says so.

    Raises ``TemplateError`` with every fault of the answers, or of the document they make.
    """
    reader = AnswerReader(show(name), answers)
    given = reader.read()
    if given is None:
        raise TemplateError(tuple(reader.problems))
    text = document(reader.template, given, unanswered=reader.unanswered)
    loaded = config.load(text)
    if loaded.config is None:
        raise TemplateError(loaded.problems)
    return text
