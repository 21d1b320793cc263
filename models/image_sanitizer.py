"""Reduce an uploaded image file to its pixel data and orientation before Pillow decodes it.

Pillow 12.3 (Gradio does not allow 13) spends minutes on a crafted comment or Exif block, and
gigabytes on a kilobyte of BMP: CVE-2026-96643, CVE-2026-96638, GHSA-22hg-r758-rrw9. Its JPEG
reader trusts a size that libjpeg may not share: GHSA-8g5g-8vmr-9782.
"""

import re
from typing import NamedTuple

MAX_EXIF_BYTES = 65_536
MAX_GIF_BLOCKS = 100  # extension blocks before a GIF's picture
MAX_JPEG_SCANS = 50  # of a progressive JPEG; each is a pass over all pixels
ORIENTATION_TAG = 0x0112  # of Exif
PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
JPEG_SEGMENTS = (0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, 0xE0, 0xEE)  # frame, tables, restarts, colours
JPEG_FRAMES = (0xC0, 0xC1, 0xC2)  # what libjpeg reads: baseline, extended, progressive
JPEG_MARKER = re.compile(
    rb"\xff[^\x00\xd0-\xd7\xff]"
)  # among coded pixels: no stuffing, no restart


class SanitizedImage(NamedTuple):
    """A file without metadata: its format (Pillow's name), bytes and Exif orientation (1: upright).

    For WebP also the size in px, because Pillow allocates memory for it on opening.
    """

    format: str
    data: bytes
    orientation: int = 1
    size: tuple[int, int] = (0, 0)


def sanitize(data: bytes) -> SanitizedImage:
    """Keep what decoding one picture needs; ValueError for an unknown format or a damaged file."""
    for signature, parse in PARSERS.items():
        if data.startswith(signature):
            try:
                return parse(data)
            except IndexError as error:
                raise ValueError("the file ends too early") from error
    raise ValueError("the file has an unknown format")


def orientation(exif: bytes) -> int:
    """Exif tag 0x0112 of the first directory, 1 if it is absent or invalid."""
    exif = exif[:MAX_EXIF_BYTES].removeprefix(b"Exif\0\0")
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(exif[:4])
    if order is None:
        return 1
    start = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[start : start + 2], order)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        if int.from_bytes(exif[entry : entry + 2], order) == ORIENTATION_TAG:
            found = int.from_bytes(exif[entry + 8 : entry + 10], order)
            return found if 1 <= found <= 8 else 1
    return 1


def _slice(data: bytes, start: int, size: int) -> bytes:
    """`size` bytes from `start`; IndexError if the data ends before."""
    if start + size > len(data):
        raise IndexError
    return data[start : start + size]


def _png(data: bytes) -> SanitizedImage:
    kept, at, orient, kind = [data[:8]], 8, 1, b""
    while kind != b"IEND":
        size = int.from_bytes(_slice(data, at, 4), "big")
        chunk = _slice(data, at, size + 12)
        kind, at = chunk[4:8], at + size + 12
        if kind in PNG_CHUNKS:
            kept.append(chunk)
        elif kind == b"eXIf":
            orient = orientation(chunk[8:-4])
    return SanitizedImage("PNG", b"".join(kept), orient)


def _jpeg(data: bytes) -> SanitizedImage:
    kept, at, orient, frames = [data[:2]], 2, 1, 0
    while True:
        if data[at] != 0xFF:
            raise ValueError("unexpected bytes between two segments")
        at += 1
        while (marker := data[at]) == 0xFF:
            at += 1
        if marker == 0xDA:
            break
        size = int.from_bytes(_slice(data, at + 1, 2), "big")
        segment = _slice(data, at + 1, size)
        if size < 2 or not (marker in JPEG_SEGMENTS or 0xE0 <= marker <= 0xEF or marker == 0xFE):
            raise ValueError(f"unsupported segment {marker:#x} of {size} bytes")
        frames += marker in JPEG_FRAMES
        if marker in JPEG_SEGMENTS:
            kept += [b"\xff", bytes([marker]), segment]
        elif marker == 0xE1 and segment[2:8] == b"Exif\0\0":
            orient = orientation(segment[2:])
        at += 1 + size
    end, scans = _jpeg_scans(data, at - 1)
    if frames != 1 or scans > MAX_JPEG_SCANS:
        raise ValueError(f"a JPEG must have one frame and at most {MAX_JPEG_SCANS} scans")
    return SanitizedImage("JPEG", b"".join([*kept, data[at - 1 : end]]), orient)


def _jpeg_scans(data: bytes, at: int) -> tuple[int, int]:
    """Where the picture that goes on at `at` ends, and its number of scans.

    Phones put a video behind it, whose bytes are no markers.
    """
    scans = 0
    while found := JPEG_MARKER.search(data, at):
        marker, at = found.group()[1], found.end()
        if marker == 0xD9:
            return at, scans
        if marker in range(0xC0, 0xD0) and marker not in (0xC4, 0xCC):
            raise ValueError("a second frame")
        scans += marker == 0xDA
        size = int.from_bytes(_slice(data, at, 2), "big")
        if size < 2:
            raise ValueError(f"a segment of {size} bytes")
        at += size
    return len(data), scans


def _gif(data: bytes) -> SanitizedImage:
    at = 13 + _color_table_bytes(data[10])
    kept = [_slice(data, 0, at)]
    for _ in range(MAX_GIF_BLOCKS):
        if data[at] != 0x21:
            break
        end = _sub_blocks_end(data, at + 2)
        if data[at + 1] == 0xF9:  # graphic control: the transparent colour
            kept.append(data[at:end])
        at = end
    if data[at] != 0x2C:
        raise ValueError(f"no image descriptor within the first {MAX_GIF_BLOCKS} blocks")
    end = _sub_blocks_end(data, at + 10 + _color_table_bytes(data[at + 9]) + 1)
    return SanitizedImage("GIF", b"".join([*kept[:1], *kept[1:][-1:], data[at:end], b";"]))


def _color_table_bytes(flags: int) -> int:
    """Size of the colour table that the packed field `flags` announces."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _sub_blocks_end(data: bytes, at: int) -> int:
    while size := data[at]:
        at += size + 1
    return at + 1


def _webp(data: bytes) -> SanitizedImage:
    """Unchanged: Pillow parses WebP's Exif only on request, and this project never asks."""
    if data[8:12] != b"WEBP":
        raise ValueError("this RIFF file is not WebP")
    at, orient = 12, 1
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            orient = orientation(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return SanitizedImage("WEBP", data, orient, _webp_size(_slice(data, 12, 18)))


def _webp_size(head: bytes) -> tuple[int, int]:
    if head[:4] == b"VP8X":
        width, height = (int.from_bytes(head[i : i + 3], "little") + 1 for i in (12, 15))
    elif head[:4] == b"VP8L":
        bits = int.from_bytes(head[9:13], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(head[i : i + 2], "little") & 0x3FFF for i in (14, 16))
    return width, height


def _bmp(data: bytes) -> SanitizedImage:
    if int.from_bytes(_slice(data, 14, 4), "little") >= 40 and data[30] in (1, 2):
        raise ValueError("run-length encoded BMP is not supported")
    return SanitizedImage("BMP", data)


PARSERS = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8": _jpeg,
    b"GIF8": _gif,
    b"RIFF": _webp,
    b"BM": _bmp,
}
