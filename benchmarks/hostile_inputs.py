"""What a hostile visitor sends: broken pictures, mutated arguments, paths to foreign files."""

import io
import json
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from benchmarks.serving import ROOT

FACE = ROOT / "tabs/sample_faces/face-00.png"
NESTING = "nested-{}"  # stands for that many nested lists, which json.dumps could not write
META = {"_type": "gradio.FileData"}
NUMBERS = (
    *(0, -1, 1, 2, 0.5, -0.0, 7, 64, 65, 257, 2**31 - 1, 2**31, 2**63, -(2**63) - 1, 10**30),
    *(1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"), True, False),
)
TEXTS = (
    *("", " ", "any", "cat", "digits", "faces", "own model", "smile", "\x00", "a\x00b", "\x1b[31m"),
    *("\u202eevil", "\ud800", "\U0001f600" * 300, "é\n\r\t", "%s%n{0}{}", "<script>x</script>"),
    *("shift 9999999999 1 wrap", "rotate nan", "splice -1 x", "paint 7 0,", "cells 0,0=", "flip"),
    *("negate\n" * 201, "transplant 0 0 9 9 9 9", "a" * 50_000, "data:image/png;base64,AAAA"),
    *("data:image/png;base64,%%%", "data:text/html,x", "'; DROP TABLE x; --", "../../etc/passwd"),
)
SHAPES = (
    None, [], {}, [[]], [{}], [None], {"path": None}, {"path": 7, "meta": META},
    {"path": "x", "meta": None}, {"path": "x", "meta": 7}, {"path": "x", "meta": META, "url": 7},
    {"strokes": None}, {"strokes": [[[1], [2]]], "base": "x"}, {"strokes": [[[1, 2], [3]]]},
    {"composite": None}, {"layers": [None] * 11}, {"background": {"path": ""}}, [[1, 2], [3, 4]],
    [[[1e9], [0]]], [[[1], [float("nan")]]], [[0] * 7] * 7, [[-1] * 7] * 7, [[0] * 300] * 2,
    [[64] * 7] * 7, [0] * 5000, [[[0, 0], [0, 0]]] * 1001, {"__type__": "update", "value": 1},
    {"value": 1, "props": {}}, {"kind": "digits", "first": [[0]], "chain": 7}, {"a" * 2000: 1},
    [[10, 10, 60, 60]] * 21, [[9, 9], [9, 9]], [60, 60, 10, 10], [0, 0, 1e300, 1e300],
)  # fmt: skip


def expand_nesting(text: str) -> str:
    """JSON with the markers of deep nesting replaced."""
    for depth in (60, 400, 3000, 60_000):
        text = text.replace(f'"{NESTING.format(depth)}"', "[" * depth + "]" * depth)
    return text


def paths(uploads: Path, canaries: list[Path], listener: str) -> list[str]:
    """Paths that nobody may read, in every spelling, and URLs of `listener`."""
    port = listener.rpartition(":")[2]
    found = ["/etc/passwd", "/proc/self/environ", "app.py", str(ROOT / "app.py"), "~/.bashrc", "."]
    for canary in canaries:
        up = "../" * (len(uploads.parts) - 1)
        found += [str(canary), f"{uploads}/{up}{str(canary)[1:]}", f"{up}..{canary}", f"/{canary}"]
        found += [
            str(canary).replace("/", "//"),
            f"file://{canary}",
            f"file:{canary}",
            f"{canary}\0",
        ]
        found += [f"{uploads}/..{canary}", f"{canary}/.", f"/proc/self/root{canary}", f"./{canary}"]
    found += [str(link) for link in uploads.rglob("*") if link.is_symlink()]
    hosts = ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "2130706433", "0x7f.1", "a@127.0.0.1")
    found += [f"http://{host}:{port}/x.png" for host in hosts]
    found += [f"HTTP://127.0.0.1:{port}/", f"https://127.0.0.1:{port}/", f"//127.0.0.1:{port}/"]
    return [
        *found,
        "http://canary.invalid/x.png",
        f"ftp://127.0.0.1:{port}/",
        "http:///",
        "http://[",
    ]


def file_urls(path: str) -> Iterator[str]:
    """URLs of the app that might return a file."""
    dotted = path.replace("..", "%2e%2e")
    for spelling in (
        quote(path),
        quote(path, safe=""),
        quote(dotted, safe="/%"),
        quote(quote(path)),
    ):
        for prefix in (
            "gradio_api/file=",
            "file=",
            "gradio_api/file/",
            "static/",
            "assets/",
            "svelte/",
        ):
            yield f"/{prefix}{spelling}"
        yield f"/gradio_api/proxy={spelling}"
        yield f"/?deep_link={spelling}"


def random_value(dice: random.Random, paths: list[str]) -> Any:
    """A value of any kind."""
    match dice.randrange(8):
        case 0:
            return dice.choice(NUMBERS)
        case 1 | 2:
            return dice.choice(TEXTS)
        case 3 | 4:
            return dice.choice(SHAPES)
        case 5:
            path = dice.choice(paths)
            full = {"path": path, "meta": META, "orig_name": "x.png"}
            bare = {"path": path}
            linked = {"path": "x.png", "url": path, "meta": META}
            value = dice.choice((path, bare, full, linked, {"url": path}, {"value": full}))
            return dice.choice((value, [value], {"composite": value}, {"layers": [value]}))
        case 6:
            return NESTING.format(dice.choice((60, 400, 3000, 60_000)))
        case _:
            return [random_value(dice, paths) for _ in range(dice.randrange(4))]


def mutate(dice: random.Random, value: Any, paths: list[str], depth: int = 0) -> Any:
    """`value` with one part of it replaced, anywhere inside; sometimes left out or doubled."""
    if isinstance(value, list) and value and depth < 6 and dice.random() < 0.75:
        i = dice.randrange(len(value))
        part = [mutate(dice, value[i], paths, depth + 1)]
        swap = dice.choice((part, part, part, part, [], part * 2))
        return [*value[:i], *swap, *value[i + 1 :]]
    if isinstance(value, dict) and value and depth < 6 and dice.random() < 0.75:
        key = dice.choice(list(value))
        return value | {key: mutate(dice, value[key], paths, depth + 1)}
    return random_value(dice, paths)


def broken_bodies(good: dict) -> list[str | bytes]:
    """Bodies of a request that are no proper JSON, or not the one that is expected."""
    text = json.dumps(good)
    huge = json.dumps({"data": ["x" * 1_000_000]})
    return [
        *("", " ", "{", "[]", "null", "7", '"x"', "{}", '{"data": null}', '{"data": {}}', "\x00"),
        *('{"data": [1e999]}', '{"data": [NaN, -Infinity]}', '{"data": "x"}', text[:-3], text * 2),
        *(b"\xff\xfe\x00", b'{"data": ["\xff"]}', '{"data": ["\\ud800"]}'),
        '{"data": [' + "9" * 6000 + "]}", "[" * 100_000, '{"a":' * 50_000, huge,
        '{"data": [], "session_hash": 7}', '{"data": [], "fn_index": "x"}', '{"__proto__": {}}',
    ]  # fmt: skip


def decompression_bomb(side: int) -> bytes:
    """A PNG of `side` x `side` black pixels, `side` a multiple of 100, in about 1/1000 of that."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    rows = b"\0" * (100 * (side + 1))
    block = press.compress(rows) + press.flush(zlib.Z_FULL_FLUSH)  # may stand any number of times
    total = side * (side + 1)
    sums = struct.pack(">HH", total % 65521, 1)  # Adler-32 of so many zeros
    data = b"\x78\x9c" + block * (side // 100) + b"\x03\0" + sums
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _encode(picture: Image.Image, kind: str, **how: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def pictures() -> dict[str, bytes]:
    """Files that are hard to read, by the name they are sent under."""
    face = Image.open(FACE).convert("RGB")
    png, jpeg = _encode(face, "PNG"), _encode(face, "JPEG")
    grey16 = Image.fromarray(np.full((64, 64), 40_000, np.uint16))
    frames = [Image.new("RGB", (64, 64), (i, 0, 0)) for i in range(5)]
    return {
        "truncated.png": png[: len(png) // 2],
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "no-signature.png": png[8:],
        "flipped.png": bytes(b ^ (i % 97 == 5) for i, b in enumerate(png)),
        "mislabelled.png": jpeg,
        "mislabelled.jpg": b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        "page.html": b"<script>alert(1)</script>",
        "bomb.png": decompression_bomb(30_000),
        "cmyk.jpg": _encode(face.convert("CMYK"), "JPEG"),
        "deep.png": _encode(grey16, "PNG"),
        "palette.png": _encode(face.convert("P"), "PNG"),
        "transparent.png": _encode(face.convert("RGBA"), "PNG"),
        "animated.gif": _encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "animated.webp": _encode(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "bad-exif.jpg": _encode(face, "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 40),
        "tiny.png": _encode(Image.new("L", (1, 1)), "PNG"),
        "thin.png": _encode(Image.new("RGB", (9000, 1)), "PNG"),
        "tiff.png": _encode(face, "TIFF"),
        "nothing.png": b"",
        "white.png": _encode(Image.new("L", (64, 64), 255), "PNG"),
        "large.png": png + b"\0" * 9_000_000,
        "\u202egnp.exe": png,
        "../../up.png": png,
        "a" * 300 + ".png": png,
        "nul\0.png": png,
        "face.png": png,
    }
