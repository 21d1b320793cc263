"""Drawings to start from, made by hand for this page, and the row that shows them."""

from tabs.components.example_row import ExampleRow

# label -> strokes [xs, ys] in canvas px

EXAMPLES: dict[str, list[list[list[int]]]] = {
    "cat": [
        [
            [70, 62, 66, 84, 112, 146, 174, 192, 196, 188],
            [120, 86, 48, 72, 64, 64, 72, 46, 86, 122],
        ],
        [[100, 101], [112, 118]],
    ],
    "face": [
        [
            [128, 88, 56, 44, 50, 76, 120, 168, 200, 214, 206, 176, 132],
            [30, 38, 66, 112, 160, 200, 222, 212, 182, 134, 84, 46, 30],
        ],
        [[96, 97], [104, 112]],
    ],
    "car": [
        [[30, 34, 72, 98, 156, 186, 226, 232], [160, 132, 122, 84, 82, 120, 130, 160]],
    ],
    "airplane": [
        [[24, 60, 130, 200, 234, 206, 130, 60, 24], [122, 110, 106, 108, 122, 136, 142, 138, 122]],
    ],
    "sun": [
        [
            [128, 102, 86, 82, 94, 118, 146, 168, 174, 162, 140, 126],
            [82, 90, 110, 136, 160, 174, 172, 156, 130, 104, 86, 82],
        ],
        [[128, 128], [24, 54]],
        [[212, 188], [52, 74]],
    ],
    "ice cream": [
        [[84, 104, 128, 150, 172], [122, 172, 230, 174, 122]],
    ],
    "snowman": [
        [
            [128, 96, 72, 66, 82, 112, 148, 176, 190, 182, 158, 130],
            [134, 142, 162, 190, 220, 236, 236, 220, 192, 162, 142, 134],
        ],
    ],
    "butterfly": [
        [[128, 126, 128], [76, 130, 190]],
        [[126, 104, 70, 40, 34, 54, 92, 124], [110, 72, 48, 54, 88, 118, 128, 122]],
    ],
    "mug": [
        [[66, 68, 76, 106, 146, 168, 174, 178], [72, 130, 190, 204, 204, 192, 130, 70]],
    ],
    "bicycle": [
        [
            [74, 50, 34, 32, 48, 74, 100, 114, 112, 96, 74],
            [120, 126, 144, 168, 186, 194, 188, 168, 144, 126, 120],
        ],
        [[74, 108, 154], [156, 96, 94]],
    ],
}


def example_row() -> ExampleRow:
    """A row of small drawings; a click sets `chosen`."""
    tiles = []
    for label, strokes in EXAMPLES.items():
        lines = "".join(
            f'<polyline points="{" ".join(f"{x},{y}" for x, y in zip(*stroke, strict=True))}"/>'
            for stroke in strokes
        )
        tiles.append(
            f'<button type="button" data-label="{label}" title="Start a {label}">'
            f'<svg viewBox="0 0 256 256" aria-hidden="true">{lines}</svg>{label}</button>'
        )
    return ExampleRow("Start from", "".join(tiles), {"drawings": EXAMPLES})
