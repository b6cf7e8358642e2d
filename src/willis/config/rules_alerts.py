"""Rules about who is told of events: no secret travels in clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from willis.config.problem import Fault
from willis.model.alerts import MailTls
from willis.model.config import Config


def passwords_are_encrypted(config: Config) -> Iterator[Fault]:
    """A `login` at a mail server needs `tls: starttls` or `tls: tls`."""
    for i, mail in enumerate(config.alerts.mail):
        if mail.login is not None and mail.tls is MailTls.NONE:
            what = "The password would travel in clear."
            yield Fault(("alerts", "mail", i, "tls"), what, "Write tls: starttls or tls: tls, or no login.")


def tokens_are_encrypted(config: Config) -> Iterator[Fault]:
    """A webhook with a `secret` has an https URL."""
    for i, webhook in enumerate(config.alerts.webhooks):
        if webhook.secret is not None and not webhook.url.startswith("https://"):
            what = "The secret would travel in clear."
            yield Fault(("alerts", "webhooks", i, "url"), what, "Use an https URL, or no secret.")


ALERT_RULES: tuple[Callable[[Config], Iterator[Fault]], ...] = (passwords_are_encrypted, tokens_are_encrypted)
