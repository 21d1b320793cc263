"""docs/results.md and the README's headline figures are what metrics.json says."""

import json
from pathlib import Path

import pytest

from training.release import results_table

ROOT = Path(__file__).parents[2]
CHECKPOINTS = ROOT / "checkpoints"


def test_the_results_page_is_what_the_metrics_render():
    page = (ROOT / "docs/results.md").read_text()
    assert page == results_table.render(CHECKPOINTS)


def test_the_readme_shows_the_measured_headline_figures():
    readme = (ROOT / "README.md").read_text()
    table = results_table.headlines(CHECKPOINTS)
    assert results_table.replace_section(readme, table) == readme
    demos = [line.split(":")[0] for line in table.splitlines() if ":" in line]
    assert demos == ["| Sketch"] * 3 + ["| Inpaint"] * 3 + ["| Codes"] * 3


def test_a_missing_marker_is_an_error():
    with pytest.raises(ValueError, match="lost its markers"):
        results_table.replace_section("# Nothing here", "| a |")


def test_only_measured_figures_have_a_row():
    rows = {"real": {"top1": 0.9, "frechet": 1.0}, "partial": {"top1": 0.4, "frechet": 70.0}}
    spread = {"ours": {"diversity": 0.8, "uncertain_share": 0.05}}
    measured = {"drawings": 1234, "split": "test", "completions": rows, "spread": spread}
    table = results_table.sketch_table(measured | {"spread_at_temperature_0": spread})
    assert "1,234 test drawings" in table
    assert "| real drawings | 0.900 | 1.00 |" in table
    assert "no label" not in table
    assert "images/s" not in table


def test_figures_outside_the_released_checkpoints_leave_the_pages_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(results_table, "update_pages", lambda: pytest.fail("the pages are written"))
    results_table.record(tmp_path / "sketch", {"drawings": 3})
    results_table.record(tmp_path / "sketch", {"split": "test"})
    written = json.loads((tmp_path / "sketch/metrics.json").read_text())
    assert written == {"drawings": 3, "split": "test"}


def test_figures_of_a_released_checkpoint_write_the_pages(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(results_table, "update_pages", lambda: calls.append("written"))
    monkeypatch.setattr(results_table.checkpoint, "ROOT", tmp_path)
    results_table.record(tmp_path / "sketch", {"drawings": 3})
    assert calls == ["written"]
