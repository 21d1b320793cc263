"""What a sent picture file is cut down to before Pillow sees it: its pixels, and which way is up.

Pillow 12.3 (13 does not go with Gradio) spends minutes on a crafted comment or Exif block, and
gigabytes on a kilobyte of BMP: CVE-2026-96643, CVE-2026-96638, GHSA-22hg-r758-rrw9. And its reader
of JPEG trusts a size that libjpeg may not share: GHSA-8g5g-8vmr-9782.
"""

from typing import NamedTuple

LONGEST_EXIF = 65_536
MOST_BLOCKS = 100  # of a GIF before its picture
MOST_SCANS = 50  # of a progressive JPEG; each is a pass over all pixels
ORIENTATION = 0x0112
PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
JPEG_KEPT = (0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, 0xE0, 0xEE)  # frame, tables, restarts, colours
JPEG_FRAMES = (0xC0, 0xC1, 0xC2)  # what libjpeg reads: baseline, extended, progressive


class Bare(NamedTuple):
    """A file's format, as Pillow names it, its bytes, its Exif orientation (1 is upright).

    Of WebP also the size in px, for which memory is taken as soon as Pillow opens it.
    """

    kind: str
    data: bytes
    orientation: int = 1
    size: tuple[int, int] = (0, 0)


def bare(data: bytes) -> Bare:
    """A file without anything but one picture; ValueError where it is none, or not a whole one."""
    for signature, read in READERS.items():
        if data.startswith(signature):
            try:
                return read(data)
            except IndexError as error:
                raise ValueError("the file ends too early") from error
    raise ValueError("the file is of no known kind")


def orientation(exif: bytes) -> int:
    """Tag 0x0112 of an Exif block's first directory, 1 where there is none."""
    exif = exif[:LONGEST_EXIF].removeprefix(b"Exif\0\0")
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(exif[:4])
    if order is None:
        return 1
    start = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[start : start + 2], order)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        if int.from_bytes(exif[entry : entry + 2], order) == ORIENTATION:
            found = int.from_bytes(exif[entry + 8 : entry + 10], order)
            return found if 1 <= found <= 8 else 1
    return 1


def _part(data: bytes, start: int, size: int) -> bytes:
    """So many bytes from there, all of them."""
    if start + size > len(data):
        raise IndexError
    return data[start : start + size]


def _png(data: bytes) -> Bare:
    kept, at, up, kind = [data[:8]], 8, 1, b""
    while kind != b"IEND":
        size = int.from_bytes(_part(data, at, 4), "big")
        chunk = _part(data, at, size + 12)
        kind, at = chunk[4:8], at + size + 12
        if kind in PNG_KEPT:
            kept.append(chunk)
        elif kind == b"eXIf":
            up = orientation(chunk[8:-4])
    return Bare("PNG", b"".join(kept), up)


def _jpeg(data: bytes) -> Bare:
    kept, at, up, frames = [data[:2]], 2, 1, 0
    while True:
        if data[at] != 0xFF:
            raise ValueError("there is something between two segments")
        at += 1
        while (marker := data[at]) == 0xFF:
            at += 1
        if marker == 0xDA:
            break
        size = int.from_bytes(_part(data, at + 1, 2), "big")
        segment = _part(data, at + 1, size)
        if size < 2 or not (marker in JPEG_KEPT or 0xE0 <= marker <= 0xEF or marker == 0xFE):
            raise ValueError(f"a segment of {size} bytes and kind {marker:#x}")
        frames += marker in JPEG_FRAMES
        if marker in JPEG_KEPT:
            kept += [b"\xff", bytes([marker]), segment]
        elif marker == 0xE1 and segment[2:8] == b"Exif\0\0":
            up = orientation(segment[2:])
        at += 1 + size
    rest = data[at - 1 :]
    if frames != 1 or rest.count(b"\xff\xda") > MOST_SCANS:
        raise ValueError("one frame of few scans is read")
    return Bare("JPEG", b"".join([*kept, rest]), up)


def _gif(data: bytes) -> Bare:
    at = 13 + _colours(data[10])
    kept = [_part(data, 0, at)]
    for _ in range(MOST_BLOCKS):
        if data[at] != 0x21:
            break
        end = _sub_blocks_end(data, at + 2)
        if data[at + 1] == 0xF9:  # which colour is see-through
            kept.append(data[at:end])
        at = end
    if data[at] != 0x2C:
        raise ValueError("there is no picture, or not soon enough")
    end = _sub_blocks_end(data, at + 10 + _colours(data[at + 9]) + 1)
    return Bare("GIF", b"".join([*kept[:1], *kept[1:][-1:], data[at:end], b";"]))


def _colours(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _sub_blocks_end(data: bytes, at: int) -> int:
    while size := data[at]:
        at += size + 1
    return at + 1


def _webp(data: bytes) -> Bare:
    """As it is: Pillow looks at its Exif when asked, which nobody does."""
    if data[8:12] != b"WEBP":
        raise ValueError("this RIFF file holds no WebP")
    at, up = 12, 1
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            up = orientation(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return Bare("WEBP", data, up, _webp_size(_part(data, 12, 18)))


def _webp_size(head: bytes) -> tuple[int, int]:
    if head[:4] == b"VP8X":
        width, height = (int.from_bytes(head[i : i + 3], "little") + 1 for i in (12, 15))
    elif head[:4] == b"VP8L":
        bits = int.from_bytes(head[9:13], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(head[i : i + 2], "little") & 0x3FFF for i in (14, 16))
    return width, height


def _bmp(data: bytes) -> Bare:
    if int.from_bytes(_part(data, 14, 4), "little") >= 40 and data[30] in (1, 2):
        raise ValueError("run lengths are not read")
    return Bare("BMP", data)


READERS = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8": _jpeg,
    b"GIF8": _gif,
    b"RIFF": _webp,
    b"BM": _bmp,
}
