"""How the command line and the twin look in a terminal: one console, one style of table."""

from __future__ import annotations

import sys
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 140
"""Columns when nobody looks directly: in a file or a log nothing should be folded."""


class _Console(Console):
    """Shows what others wrote, such as a reason, without obeying it: no escape sequence, no turned text."""

    def render_str(self, text: str, **more: Any) -> Text:  # noqa: ANN401 - rich's own
        return super().render_str(visible(text), **more)


def visible(text: str) -> str:
    """The text with everything replaced that a terminal would not simply show, but for line ends and tabs."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return _Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _PIPED_WIDTH)


def table(*columns: str, title: str = "", keep: tuple[str, ...] = ()) -> Table:
    """A plain table. Columns in ``keep`` are never folded: what people copy stays whole."""
    grid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold", no_wrap=column in keep)
    return grid
