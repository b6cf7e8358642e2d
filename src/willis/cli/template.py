"""``willis template``: vendor deployments as documents with a few questions. Needs no engine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from willis import templates
from willis.cli import show

app = typer.Typer(no_args_is_help=True, help="Vendor deployments as documents with a few questions.")

Name = Annotated[str, typer.Argument(help="A name from 'willis template list'")]
