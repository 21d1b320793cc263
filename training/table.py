"""The README's results table, made from a checkpoint's metrics.json by `evaluate.py`."""

import re
from typing import Any

START, END = "<!-- sketch results: made by training/evaluate.py -->", "<!-- end -->"


def sketch_table(m: dict[str, Any]) -> str:
    """Markdown; figures that were not measured are left out."""
    judged, lines = m["judged"], []
    lines += [f"{m['drawings']:,} {m['split']} drawings, first half of the arc length given.", ""]
    lines += ["| | top-1 | Fréchet distance |", "|---|---|---|"]
    names = {
        "real": "real drawings, whole",
        "halves": "the bare halves",
        "nearest_label": "nearest training drawing, label known",
        "ours_label": "**ours, label known**",
        "nearest_any": "nearest training drawing, no label",
        "ours_any": "**ours, no label**",
        "paper": "the paper's CVAE (takes no label)",
    }
    for key, name in names.items():
        if key in judged:
            row = judged[key]
            lines.append(f"| {name} | {row['top1']:.3f} | {row['frechet']:.2f} |")
    lines += ["", "| | ours | the paper's CVAE |", "|---|---|---|"]
    spread, bound = m["spread"], m.get("bound_nats", {})

    def row(name: str, ours: str, paper: str = "") -> None:
        lines.append(f"| {name} | {ours} | {paper} |")

    def of(table: dict[str, Any], *keys: str) -> str:
        value: Any = table
        for key in keys:
            value = value.get(key) if value else None
        return "" if value is None else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"

    row(
        "diversity at temperature 1 (mean pairwise 1 - IoU of added ink)",
        of(spread, "ours", "diversity"),
        of(spread, "paper", "diversity"),
    )
    row("diversity at temperature 0", of(m["spread_at_temperature_0"], "ours", "diversity"))
    row(
        "share of pixels with probability in 0.1..0.9",
        of(spread, "ours", "uncertain_share"),
        of(spread, "paper", "uncertain_share"),
    )
    row("log p(whole given half) is at least, nats", of(bound, "ours_any"), of(bound, "paper"))
    row("the same, label known", of(bound, "ours_label"))
    if "speed" in m:
        speed = m["speed"]
        row("16 completions, ms", of(speed, "complete_16_ms"), of(speed, "paper_complete_16_ms"))
        row("whole handler (32 drawn, 16 shown), ms", of(speed, "handler_16_ms"))
        row("`python app.py` until the page answers, s", of(speed, "app_start_s"))
        stock, ours = (
            speed[f"paper_training_{kind}_images_per_s"] for kind in ("stock", "our_loop")
        )
        row(f"training it, images/s (stock float32 loop {stock:.0f})", "", f"{ours:.0f}")
    if m.get("remark"):
        lines += ["", m["remark"]]
    return "\n".join(lines)


def put_into(readme: str, table: str) -> str:
    """`readme` with the table between its markers."""
    if START not in readme or END not in readme:
        raise ValueError(f"the README has lost its markers {START!r} and {END!r}: put them back")
    pattern = re.escape(START) + ".*?" + re.escape(END)
    return re.sub(pattern, lambda _: f"{START}\n{table}\n{END}", readme, count=1, flags=re.DOTALL)
