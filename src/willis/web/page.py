"""What a browser meets: one small page that says what answers here. No script, one style sheet."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

STYLE = """:root { color-scheme: light dark; font: 100%/1.6 system-ui, sans-serif; }
body { max-width: 38rem; margin: 3rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
"""

_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<h1>{title}</h1>
{text}
</main>
</body>
</html>
"""
_HERE = """<p>This is the management interface of a <strong>Willis</strong> load balancer.
It has no pages yet; programs and the command line use its API:</p>
<ul>
<li>API: <code>/api/v1/</code>, described by <code>/api/v1/openapi.json</code></li>
<li>Command line, from any machine:
<code>WILLIS_URL=https://NODE:8443 WILLIS_TOKEN_FILE=token willis status</code></li>
<li>On the node itself: <code>willis status</code></li>
</ul>"""


def page(title: str, text: str, status: int = 200) -> Response:
    """``text``: HTML of ours alone, nothing that anybody sent."""
    return HTMLResponse(_FRAME.format(title=title, text=text), status)


async def home(_: Request) -> Response:
    return page("Willis", _HERE)


async def style(_: Request) -> Response:
    return Response(STYLE, media_type="text/css")
