"""The README's table is what metrics.json says."""

from pathlib import Path

import pytest

from training.release import results_table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "stem"), [("sketch", "sketch"), ("inpaint", "inpaint"), ("codes-digits", "codes")]
)
def test_the_readme_shows_the_measured_figures(name: str, stem: str):
    readme = (ROOT / "README.md").read_text()
    made = results_table.made_of(ROOT / "checkpoints" / name, stem)
    assert "|" in made
    assert results_table.put_into(readme, made, stem) == readme


def test_a_lost_marker_is_said():
    with pytest.raises(ValueError, match="lost its markers"):
        results_table.put_into("# Nothing here", "| a |", "sketch")


def test_only_what_was_measured_has_a_row():
    judged = {"real": {"top1": 0.9, "frechet": 1.0}, "halves": {"top1": 0.4, "frechet": 70.0}}
    spread = {"ours": {"diversity": 0.8, "uncertain_share": 0.05}}
    measured = {"drawings": 1234, "split": "test", "judged": judged, "spread": spread}
    made = results_table.sketch_table(measured | {"spread_at_temperature_0": spread})
    assert "1,234 test drawings" in made
    assert "| real drawings, whole | 0.900 | 1.00 |" in made
    assert "no label" not in made
    assert "images/s" not in made
