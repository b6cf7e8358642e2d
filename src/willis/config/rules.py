"""Rules: what is wrong although every single value is fine.

A rule may assume nothing but the types. It also sees configs with stand-ins for broken
values, so each fault names in ``rests_on`` what its claim depends on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from willis.config.problem import Fault, Path
from willis.config.rules_service import SERVICE_RULES
from willis.config.rules_site import SITE_RULES
from willis.model.config import Config


def judge(config: Config, known: Iterable[Fault] = ()) -> list[Fault]:
    """What the rules find, without the claims that rest on something in ``known``."""
    broken = {path for fault in known for path in (fault.path, *fault.rests_on)}
    around = {path[:depth] for path in broken for depth in range(len(path) + 1)}

    def sound(path: Path) -> bool:
        return path not in around and not any(path[:depth] in broken for depth in range(len(path)))

    return [fault for fault in _find(config) if all(map(sound, (fault.path, *fault.rests_on)))]


def statements() -> list[str]:
    """Every rule in one sentence, for the manual."""
    rules = (*SITE_RULES, *SERVICE_RULES)
    return [(rule.__doc__ or "").partition("\n")[0] for rule in rules]


def _find(config: Config) -> Iterator[Fault]:
    for site_rule in SITE_RULES:
        yield from site_rule(config)
    for service in config.services:
        for service_rule in SERVICE_RULES:
            yield from service_rule(service)
