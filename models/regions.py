"""Where the parts of a face lie in CelebA's frame: the middle of its aligned photographs."""

from typing import NamedTuple

UNITS = 64  # regions are given on a grid of 64x64, whatever the size of the picture
ALIGNED = (178, 218)  # px, width and height of CelebA's aligned photographs
CROP = (25, 45, 128)  # px, left, top and side of the square in them that the networks see
LEFT_EYE, RIGHT_EYE = (69, 111), (108, 111)  # px in the aligned photograph, as seen


class Region(NamedTuple):
    """A rectangle on the grid of 64x64: rows top..bottom, columns left..right, ends excluded."""

    top: float
    left: float
    bottom: float
    right: float


REGIONS = {
    "mouth": Region(47, 18, 63, 46),
    "eyes": Region(26, 11, 41, 53),
    "nose": Region(31, 22, 50, 42),
    "glasses": Region(22, 5, 45, 59),
    "lower face": Region(38, 12, 64, 52),
}
