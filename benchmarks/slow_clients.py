"""Clients that hold a connection and send or read next to nothing."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from benchmarks.visitor import API

BYTE_INTERVAL_S = 0.25  # s between two bytes
CALL = json.dumps({"data": ["digits", "any", 1]})


class SlowClient:
    """Sends an upload byte by byte, or starts an event and never reads its result."""

    def __init__(self, url: str, sends: bool) -> None:
        place = urlsplit(url)
        self.host, self.port, self.sends = place.hostname or "", place.port or 80, sends
        self.link: socket.socket | None = None

    def connected(self) -> bool:
        """Whether the app has not closed the connection."""
        if self.link is None:
            return False
        try:
            return self.link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    async def run(self) -> None:
        """Hold the connection until cancelled or closed by the app."""
        loop = asyncio.get_running_loop()
        if self.sends:
            await self._open(loop)
            await loop.sock_sendall(self.link, self._head("upload", 4_000_000))
            while self.connected():
                await loop.sock_sendall(self.link, b"x")
                await asyncio.sleep(BYTE_INTERVAL_S)
            return
        event = await self._event()
        await self._open(loop)
        head = f"GET {API}/call/sample_codes/{event} HTTP/1.1\r\nHost: {self.host}\r\n\r\n"
        await loop.sock_sendall(self.link, head.encode())
        await asyncio.Event().wait()

    async def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        self.link = socket.socket()
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.link.setblocking(False)
        await loop.sock_connect(self.link, (self.host, self.port))

    def _head(self, name: str, length: int) -> bytes:
        part = 'Content-Disposition: form-data; name="files"; filename="slow.png"'
        return (
            f"POST {API}/{name} HTTP/1.1\r\nHost: {self.host}\r\nContent-Length: {length}\r\n"
            f"Content-Type: multipart/form-data; boundary=edge\r\n\r\n--edge\r\n{part}\r\n\r\n"
        ).encode()

    async def _event(self) -> str:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        head = (
            f"POST {API}/call/sample_codes HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n"
        )
        kind = f"Content-Type: application/json\r\nContent-Length: {len(CALL)}\r\n\r\n"
        writer.write((head + kind + CALL).encode())
        said = (await reader.read()).decode()
        writer.close()
        return json.loads(said[said.index("{") : said.rindex("}") + 1])["event_id"]


@asynccontextmanager
async def slow_clients(url: str, count: int) -> AsyncIterator[list[SlowClient]]:
    """`count` slow clients while the block runs; every other one sends."""
    held = [SlowClient(url, sends=i % 2 == 0) for i in range(count)]
    tasks = [asyncio.create_task(one.run()) for one in held]
    try:
        yield held
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in held:
            if one.link is not None:
                one.link.close()
