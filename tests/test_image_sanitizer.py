"""Picture files as they are cut down: nothing seen is lost, and what is dangerous does not pass."""

import io
import resource
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from models import images
from models.image_sanitizer import MAX_JPEG_SCANS, orientation, sanitize

KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MIB = 2**20


def picture(mode: str = "RGB") -> Image.Image:
    y, x = np.mgrid[:40, :64]
    pixels = np.stack([4 * x, 6 * y, (x + y) % 9 * 20], -1).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def saved(kind: str, image: Image.Image | None = None, **how: object) -> bytes:
    file = io.BytesIO()
    (image or picture()).save(file, kind, **how)
    return file.getvalue()


def exif(turn: int, order: str = "<") -> bytes:
    """A first directory of two entries, the second one the orientation."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entries = ((0x0100, 3, 1, 64), (0x0112, 3, 1, turn))
    rows = [struct.pack(f"{order}HHIHH", *entry, 0) for entry in entries]
    return mark + struct.pack(f"{order}IH", 8, len(rows)) + b"".join(rows) + bytes(4)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"comment": b"hello"}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_keeps_its_pixels(mode: str, how: dict):
    sent = saved("JPEG", picture(mode), **how)
    found = images.read_picture(io.BytesIO(sent), full_size=True)
    np.testing.assert_array_equal(found, Image.open(io.BytesIO(sent)))
    assert b"hello" not in sanitize(sent).data


def test_a_video_behind_a_jpeg_is_not_read():
    noise = np.random.default_rng(0).integers(0, 256, 200_000, np.uint8).tobytes()
    for how in ({}, {"progressive": True}):
        jpeg = saved("JPEG", **how)
        motion = jpeg + b"\0\0\0\x18ftypmp42" + MAX_JPEG_SCANS * b"\xff\xda" + noise
        assert sanitize(motion).data == sanitize(jpeg).data


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_keeps_its_pixels(mode: str):
    image = (
        picture(mode) if mode != "I;16" else Image.fromarray(np.arange(900, dtype=np.uint16)[None])
    )
    sent = saved("PNG", image, dpi=(72, 72))
    found = images.read_picture(io.BytesIO(sent))
    assert (found.mode, found.size) == (image.mode, image.size)
    np.testing.assert_array_equal(found.convert("RGBA") if mode == "P" else found,
                                  image.convert("RGBA") if mode == "P" else image)  # fmt: skip


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_the_first_frame_of_an_animation_is_read(kind: str):
    film = [picture("RGB"), ImageOps.invert(picture("RGB"))]
    sent = saved(kind, film[0], save_all=True, append_images=film[1:], duration=90)
    first = Image.open(io.BytesIO(sent)).convert("RGB")
    np.testing.assert_array_equal(images.read_picture(io.BytesIO(sent)).convert("RGB"), first)
    seen = saved("GIF", picture("P"), transparency=3)
    found = images.read_picture(io.BytesIO(seen)).convert("RGBA")
    np.testing.assert_array_equal(found, Image.open(io.BytesIO(seen)).convert("RGBA"))


@pytest.mark.parametrize("turn", range(10))
@pytest.mark.parametrize("order", "<>")
def test_a_picture_is_turned_as_pillow_turns_it(turn: int, order: str):
    block = exif(turn, order)
    for kind in ("PNG", "JPEG", "WEBP"):
        sent = saved(kind, exif=b"Exif\0\0" * (kind == "JPEG") + block)
        found = images.read_picture(io.BytesIO(sent), full_size=True)
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(sent)))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_or_altered_file_is_one_kind_of_error(kind: str):
    sent = saved(kind, exif=exif(6)) if kind in ("PNG", "JPEG", "WEBP") else saved(kind)
    rng = np.random.default_rng(0)
    for cut in rng.integers(0, len(sent), 60):
        with pytest.raises(ValueError, match="cannot be read"):
            images.read_picture(io.BytesIO(sent[:cut]), full_size=True)
    for _ in range(300):
        bad = bytearray(sent)
        for at in rng.integers(0, len(sent), 4):
            bad[at] = rng.integers(256)
        message = "This picture "
        try:
            images.read_picture(io.BytesIO(bad), 100_000, full_size=True)
        except ValueError as error:
            message = str(error)
        assert message.startswith("This picture ")


def nested_exif() -> bytes:
    block = chunk(b"eXIf", b"Exif\0\0" * (MIB // 2) + exif(6))
    png = saved("PNG")
    return png[:33] + block + png[33:]


def many_exif() -> bytes:
    jpeg = saved("JPEG")
    return jpeg[:2] + segment(0xE1, b"Exif\0\0" * 10_000) * 90 + jpeg[2:]


def in_gif(blocks: bytes) -> bytes:
    gif = saved("GIF", picture("L"))
    start = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    return gif[:start] + blocks + gif[start:]


def long_comment() -> bytes:
    return in_gif(b"\x21\xfe" + b"\x01a" * MIB + b"\0")


@pytest.mark.parametrize("make", [nested_exif, many_exif, long_comment])
def test_files_that_take_pillow_minutes_are_read_at_once(make):
    sent, began = make(), time.process_time()
    found = images.read_picture(io.BytesIO(sent), full_size=True)
    assert time.process_time() - began < 3
    assert sorted(found.size) == [40, 64]


def run_lengths() -> bytes:
    """A line of 20 million pixels, skipped over 255 times: 5 GB in Pillow 12.3."""
    body, start = b"\0\x02\0\xff\0\1", 14 + 40 + 1024
    head = struct.pack("<IiiHHIIiiII", 40, 20_000_000, 1, 1, 8, 1, len(body), 0, 0, 256, 0)
    return (
        b"BM" + struct.pack("<IHHI", start + 6, 0, 0, start) + head + bytes(range(256)) * 4 + body
    )


def wide_webp() -> bytes:
    webp = bytearray(saved("WEBP", exif=exif(1)))
    webp[24:30] = b"\xff\xff\0" * 2
    return bytes(webp)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (run_lengths, "cannot be read"),
        (wide_webp, "too large"),
        (lambda: in_gif(b"\x21\xfe\x01a\0" * MIB), "cannot be read"),
    ],
)
def test_files_that_take_gigabytes_or_hours_are_refused(make, sentence: str):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=sentence):
        images.read_picture(io.BytesIO(make()))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_a_jpeg_with_two_frames_many_scans_or_gaps_is_refused():
    jpeg, slow = saved("JPEG"), saved("JPEG", progressive=True)
    frame = jpeg.index(b"\xff\xc0")
    other = segment(0xC0, jpeg[frame + 4 : frame + 19])
    scan = slow[slow.rindex(b"\xff\xda") : -2]
    for bad in (
        jpeg[:frame] + other + jpeg[frame:],
        jpeg[:2] + b"\0" + jpeg[2:],
        jpeg[:2] + segment(0xDE, b"\0" * 15) + jpeg[2:],
        slow[:-2] + scan * MAX_JPEG_SCANS + slow[-2:],
    ):
        with pytest.raises(ValueError, match="cannot be read"):
            images.read_picture(io.BytesIO(bad))
    filled = jpeg[:2] + b"\xff" * 5 + jpeg[2:]
    np.testing.assert_array_equal(
        images.read_picture(io.BytesIO(filled), full_size=True), Image.open(io.BytesIO(jpeg))
    )


@pytest.mark.parametrize("block", [b"", b"II*\0", exif(6)[:-20], b"MM\0*" + b"\xff" * 40])
def test_a_broken_exif_block_is_upright(block: bytes):
    assert orientation(block) == 1
