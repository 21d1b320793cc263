"""What a visitor with a slow network sees first: a small page with a title, and small answers."""

import gzip
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

COMPRESSED = ("/", "/gradio_api/run/")  # the page, and answers to its requests
MIN_BYTES = 1_000
# Shown until Gradio's scripts have put the page in its place.
SPLASH = b"""<div id="splash" role="status" style="position: fixed; inset: 0; padding: 24px 32px;
font: 15px ui-sans-serif, system-ui, sans-serif; color: #78716c"><b style="font-size: 24px">Latent
Studio</b><br>The page is coming: a second or two, more on a slow network.</div>
<script>new MutationObserver((_, seen) => {
  if (!document.querySelector(".gradio-container [role=tab]")) return;
  document.getElementById("splash").remove();
  seen.disconnect();
}).observe(document.body, { childList: true, subtree: true });</script>"""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class FirstPage:
    """ASGI middleware: compresses the page and its answers, and puts a title into the page.

    Gradio compresses its scripts only; the page is 300 KB of configuration, which gets a fifth.
    """

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer as the app does, with a smaller body."""
        path = scope.get("path", "")
        is_page = path == COMPRESSED[0]
        if scope["type"] != "http" or not (is_page or path.startswith(COMPRESSED[1])):
            await self.app(scope, receive, send)
            return
        accepted = dict(scope["headers"]).get(b"accept-encoding", b"")
        start: Message = {}
        body = b""

        async def collect(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            headers = {name.lower(): value for name, value in start["headers"]}
            if is_page and headers.get(b"content-type", b"").startswith(b"text/html"):
                body = re.sub(rb"<body[^>]*>", lambda found: found[0] + SPLASH, body, count=1)
            if b"gzip" in accepted and len(body) > MIN_BYTES and b"content-encoding" not in headers:
                body = gzip.compress(body, 5)
                headers[b"content-encoding"] = b"gzip"
                headers[b"vary"] = b"accept-encoding"
            headers[b"content-length"] = b"%d" % len(body)
            await send({**start, "headers": list(headers.items())})
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, collect)
