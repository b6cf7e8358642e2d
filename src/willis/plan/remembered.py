"""Remembers the last results of a pure function, told apart by the very objects that it was asked with.

Config and Status never change once made, and comparing two large ones costs what compiling one does:
so the same object is the same question, and another object another one, even if it is equal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_KEPT = 2
"""What runs, and what is planned meanwhile."""


def remembered(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` without the repeated work. Arguments by keyword are small and compared by value.

    For results that nobody changes. Threads may ask at the same time.
    """
    kept: tuple[tuple[tuple[object, ...], dict[str, object], R], ...] = ()

    @wraps(function)
    def ask(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal kept
        for asked, more, result in kept:
            if len(asked) == len(args) and all(map(_same, asked, args)) and more == kwargs:
                return result
        result = function(*args, **kwargs)
        kept = ((tuple(args), dict(kwargs), result), *kept)[:_KEPT]
        return result

    return ask


def _same(one: object, other: object) -> bool:
    return one is other
