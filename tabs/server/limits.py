"""Limits of every HTTP request: size, time and addresses; each refusal is a sentence."""

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

MAX_BYTES = 9 * 2**20  # of a request's body: a file of 8 MB and its multipart envelope
BODY_TIMEOUT_S = 120  # within which a body must arrive
FILE_PATHS = ("/gradio_api/file=", "/gradio_api/file/")
CLOSED_PATHS = (
    "/gradio_api/process_recording",
    "/gradio_api/component_server",
    "/gradio_api/proxy=",
)
REWORDED = (400, 422)  # refusals whose text by Gradio and FastAPI is for programmers
REASONS = {
    400: "This request cannot be understood.",
    403: "This file is not one that was uploaded or made here.",
    404: "There is nothing here.",
    408: "This took too long to arrive: send it again.",
    413: "This is too large: at most 8 MB are accepted.",
    422: "This request does not have the form that this address expects.",
}
UNKNOWN_EVENT = (
    b'"404: Not Found"',
    b'"This request is over, or never existed."',
)  # in an event stream

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class RequestLimits:
    """ASGI middleware, innermost of Gradio's own."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif status := refusal_status(scope["path"]):
            await send_refusal(send, status)
        else:
            await self.forward(scope, receive, send)

    async def forward(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send the app's own reply, or a refusal where it fails or rejects the request."""
        body = LimitedBody(scope, receive)
        started = replaced = False

        async def reply(message: Message) -> None:
            nonlocal started, replaced
            status = body.refusal or message.get("status", 0)
            if not started and (body.refusal or status in REWORDED):
                replaced = True
                await send_refusal(send, status)
            elif not replaced:
                if UNKNOWN_EVENT[0] in message.get("body", b""):
                    message["body"] = message["body"].replace(*UNKNOWN_EVENT)
                await send(message)
            started = True

        try:
            if scope["method"] == "POST" and await body.is_oversized():
                await send_refusal(send, 413)
            else:
                await self.app(scope, body.read, reply)
        except Exception:
            if started:
                raise
            if not body.refusal:
                traceback.print_exc()
            await send_refusal(send, body.refusal or 400)


class LimitedBody:
    """A request's body, within the limits of size and time."""

    def __init__(self, scope: Message, receive: Receive) -> None:
        self.receive = receive
        self.open = scope["method"] == "POST"
        self.size, self.refusal = 0, 0
        self.length = int(dict(scope["headers"]).get(b"content-length", b"0") or 0)
        self.deadline = asyncio.get_running_loop().time() + BODY_TIMEOUT_S

    async def read(self) -> Message:
        """The next part; beyond a limit the request ends as if the client had disconnected."""
        if not self.open:
            return await self.receive()
        try:
            async with asyncio.timeout_at(self.deadline):
                message = await self.receive()
        except TimeoutError:
            return self._end(408)
        self.size += len(message.get("body", b""))
        self.open = message.get("more_body", False)
        return self._end(413) if self.size > MAX_BYTES else message

    async def is_oversized(self) -> bool:
        """Whether Content-Length is too large; reads the body so that the client gets the reply."""
        if self.length <= MAX_BYTES:
            return False
        while self.open and not self.refusal:
            self.size = 0
            await self.read()
        return True

    def _end(self, refusal: int) -> Message:
        self.refusal, self.open = refusal, False
        return {"type": "http.disconnect"}


def refusal_status(path: str) -> int:
    """The HTTP status with which a path is refused at once, or 0."""
    if any(closed in path for closed in CLOSED_PATHS):
        return 404
    for prefix in FILE_PATHS:
        _, found, name = path.partition(prefix)
        if found and not is_served_file(name):
            return 403
    return 0


def is_served_file(name: str) -> bool:
    """Whether a file lies, all links followed, in the folder of uploads and results."""
    try:
        path = Path(name).resolve()
        return path.is_relative_to(Path(get_upload_folder()).resolve()) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL, or a loop of links
        return False


async def send_refusal(send: Send, status: int) -> None:
    """Send a refusal in the form that Gradio's clients read."""
    text = json.dumps({"detail": REASONS[status]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
    if status == 408:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
