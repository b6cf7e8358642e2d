"""The part of the document that says where servers tell how much they can take."""

from __future__ import annotations

from willis.config.fields import Key, Record
from willis.config.scalars import Choice, Duration, Integer, Text
from willis.model.feedback import Feedback, FeedbackKind

FEEDBACK = Record(
    "Feedback",
    (
        Key(
            "kind",
            Choice(FeedbackKind),
            "`agent`: a line such as `75% up ready`; `http`: a JSON object with `percent` and `state`.",
            default="`agent`",
        ),
        Key("port", Integer(1, 65535), "Where servers are asked.", default="`3333`"),
        Key(
            "path",
            Text("path", r"/[A-Za-z0-9/._~-]{0,200}", "a path", "/load"),
            "What `http` asks for.",
            default="`/load`",
        ),
        Key("interval", Duration("1s", "5m"), "Time between two questions.", default="`5s`"),
        Key(
            "least",
            Integer(1, 100),
            "Percent of its weight that a server keeps whatever it says.",
            default="`10`",
        ),
    ),
    short="kind",
    makes=Feedback,
)
