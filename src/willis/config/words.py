"""What the words of layer 7 may look like: names, headers, paths, AE titles. Each enters generated files."""

from __future__ import annotations

import re

from willis.config.scalars import Integer, Name, Text

COOKIE_PATTERN = re.compile(r"\A[A-Za-z0-9_-]{1,32}\Z")
"""What a persistence cookie may be called: part of what RFC 6265 allows, and safe in any generated file."""

PORT = Integer(1, 65535)
SERVICE = Name("service")
STORED = Name("certificate")
AUTHORITY = Name("authority")
COOKIE = Name("cookie", COOKIE_PATTERN, "1 to 32 letters, digits, '_' or '-'")
HEADER = Text(
    "header name", r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", "1 to 64 letters, digits or '-'", "X-Department"
)
VALUE = Text(
    "value",
    r"[A-Za-z0-9 !#&()*+,./:;<=>?@_{|}~^-]{1,500}",
    "1 to 500 printable characters without quotes, '\\', '$', '%', '[' and '`'",
    "radiology",
)
EXPRESSION = Text(
    "regular expression",
    r"[\x20-\x26\x28-\x7e]{1,200}",
    "1 to 200 printable characters without the single quote",
    "^/wado/(.*)",
)
REPLACEMENT = Text(
    "replacement",
    r"[A-Za-z0-9 !#&()*+,./:;<=>?@_{|}~^\\-]{1,200}",
    "up to 200 printable characters without quotes, '$', '%', '[' and '`'; \\1 is the first group",
    r"/dicom-web/\1",
)
PATH = Text(
    "path", r"[A-Za-z0-9/._~!&()*+,;=:@-]{1,200}", "a part of a path, without quotes, '%' and '?'", "/viewer/"
)
HOST = Text(
    "host name",
    r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?",
    "a host name, or *.DOMAIN",
    "pacs.example.org",
)
DOMAIN = Text(
    "domain",
    r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?",
    "a host name",
    "pacs.example.org",
)
METHOD = Text("method", r"[A-Z]{1,16}", "an HTTP method in capitals", "POST")
WORD = Text(
    "value", r"[A-Za-z0-9 ._~/:@+=,;*-]{1,200}", "1 to 200 letters, digits and ' ._~/:@+=,;*-'", "ct1"
)
TARGET = Text(
    "address",
    r"https?://[A-Za-z0-9.\[\]:-]{1,253}(/[A-Za-z0-9/._~!()*+,;=:@?#-]{0,500})?|/[A-Za-z0-9/._~!()*+,;=:@?#-]{0,500}",
    "an absolute URL, or a path, without quotes, '%' and '&'",
    "https://pacs.example.org",
)
ELSEWHERE = Text(
    "address",
    r"https?://[A-Za-z0-9.\[\]:-]{1,253}(/[A-Za-z0-9/._~!()*+,;=:@?#-]{0,500})?",
    "an absolute URL without quotes, '%' and '&'",
    "https://status.example.org",
)
URL = Text(
    "URL",
    r"https://[A-Za-z0-9.\[\]:-]{1,253}(/[A-Za-z0-9/._~=:@?&-]{0,500})?",
    "a URL that begins with https://",
    "https://ca.example.org/acme/directory",
)
MEDIA = Text("media type", r"[a-z]+/[a-z0-9.+-]{1,80}", "a media type", "text/html")
AE_TITLE = Text(
    "AE title",
    r"(?!#)[A-Za-z0-9_.#/@:+&!-]{1,16}",
    "1 to 16 letters, digits and '_.#/@:+&!-', without spaces and no '#' at the beginning",
    "PACS1",
)
COMMON_NAME = Text(
    "common name",
    r"[A-Za-z0-9]([A-Za-z0-9 ._@-]{0,61}[A-Za-z0-9._@-])?",
    "1 to 63 letters, digits and ' ._@-', no space at the ends",
    "ct1.example",
)
