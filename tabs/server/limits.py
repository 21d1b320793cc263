"""The gate that each HTTP request passes: bounds on what comes in, a sentence for each refusal."""

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

MOST = 9 * 2**20  # bytes of a request's body: a file of 8 MB, and what is written around it
PATIENCE = 120  # s in which a body must arrive
FILES = ("/gradio_api/file=", "/gradio_api/file/")
CLOSED = ("/gradio_api/process_recording", "/gradio_api/component_server", "/gradio_api/proxy=")
UNCLEAR = (400, 422)  # refusals of Gradio and FastAPI in a programmer's words
REASONS = {
    400: "This request cannot be understood.",
    403: "This file is not one that was uploaded or made here.",
    404: "There is nothing here.",
    408: "This took too long to arrive: send it again.",
    413: "This is too large: at most 8 MB are taken.",
    422: "This request is not written as this address expects it.",
}
GONE = (b'"404: Not Found"', b'"This request is over, or never was."')  # in a stream of events

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Gate:
    """ASGI middleware, innermost of Gradio's own."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif refusal := refused(scope["path"]):
            await say(send, refusal)
        else:
            await self.passed(scope, receive, send)

    async def passed(self, scope: Message, receive: Receive, send: Send) -> None:
        """The app's own reply, unless it fails before it begins one, or its words are not ours."""
        body = Body(scope, receive)
        begun = replaced = False

        async def answer(message: Message) -> None:
            nonlocal begun, replaced
            status = body.refusal or message.get("status", 0)
            if not begun and (body.refusal or status in UNCLEAR):
                replaced = True
                await say(send, status)
            elif not replaced:
                if GONE[0] in message.get("body", b""):
                    message["body"] = message["body"].replace(*GONE)
                await send(message)
            begun = True

        try:
            if scope["method"] == "POST" and await body.announced():
                await say(send, 413)
            else:
                await self.app(scope, body.read, answer)
        except Exception:
            if begun:
                raise
            if not body.refusal:
                traceback.print_exc()
            await say(send, body.refusal or 400)


class Body:
    """A request's body, no larger and no slower than is allowed."""

    def __init__(self, scope: Message, receive: Receive) -> None:
        self.receive = receive
        self.open = scope["method"] == "POST"
        self.size, self.refusal = 0, 0
        self.length = int(dict(scope["headers"]).get(b"content-length", b"0") or 0)
        self.until = asyncio.get_running_loop().time() + PATIENCE

    async def read(self) -> Message:
        """The next part; one too many or too late is the end of the request."""
        if not self.open:
            return await self.receive()
        try:
            async with asyncio.timeout_at(self.until):
                message = await self.receive()
        except TimeoutError:
            return self._end(408)
        self.size += len(message.get("body", b""))
        self.open = message.get("more_body", False)
        return self._end(413) if self.size > MOST else message

    async def announced(self) -> bool:
        """Whether more is announced than is taken; read to its end, so that the sender hears."""
        if self.length <= MOST:
            return False
        while self.open and not self.refusal:
            self.size = 0
            await self.read()
        return True

    def _end(self, refusal: int) -> Message:
        self.refusal, self.open = refusal, False
        return {"type": "http.disconnect"}


def refused(path: str) -> int:
    """The status with which a path is turned away at once, or 0."""
    if any(road in path for road in CLOSED):
        return 404
    for road in FILES:
        _, found, name = path.partition(road)
        if found and not ours(name):
            return 403
    return 0


def ours(name: str) -> bool:
    """Whether a file lies, all links followed, in the folder of uploads and results."""
    try:
        place = Path(name).resolve()
        return place.is_relative_to(Path(get_upload_folder()).resolve()) and place.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL, a circle of links
        return False


async def say(send: Send, status: int) -> None:
    """A refusal as Gradio's clients read it."""
    text = json.dumps({"detail": REASONS[status]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
    if status == 408:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
