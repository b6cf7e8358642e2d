"""The one error that a decoder raises, whatever bytes it was given."""

from __future__ import annotations


class ProtocolError(Exception):
    """Bytes that are not what their protocol allows; the text says in a sentence what is wrong."""
