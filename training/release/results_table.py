"""The README's results tables, made from each checkpoint's metrics.json by the evaluations."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models import checkpoint

START = "<!-- {} results: made by its evaluation -->"
END = "<!-- end -->"


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


def inpaint_table(m: dict[str, Any]) -> str:
    """Markdown; baselines that were not measured are left out."""
    lines = [f"{m['faces']} {m['split']} faces of people who are in no other split, at "]
    lines[0] += f"{m['image_size']}x{m['image_size']} px."
    lines += [
        "",
        "| hole | PSNR, dB | SSIM | sharpness | Fréchet distance |",
        "|---|---|---|---|---|",
    ]
    names = {
        "ours": "**ours**",
        "ours_mean_of_8": "ours, mean of 8",
        "stage_one": "ours before the critic",
        "paper": "the paper's CVAE",
        "paper_mean_of_8": "the paper's, mean of 8",
        "telea": "OpenCV, Telea",
        "navier_stokes": "OpenCV, Navier-Stokes",
        "mean_colour": "mean colour",
    }
    for size, told in (("small", "2-5 %"), ("large", "8-14 %")):
        for key, name in names.items():
            if key in m["in_the_hole"]:
                row = m["in_the_hole"][key][size]
                lines.append(
                    f"| {told}, {name} | {row['psnr']:.2f} | {row['ssim']:.3f} | "
                    f"{row['sharpness']:.2f} | {row['frechet']:.3f} |"
                )
    lines += ["", "| the judge sees a smile | smile asked, serious before | smile asked, smiling |"]
    lines[-1] += " no smile asked, smiling before | no smile asked, serious |"
    lines += ["|---|---|---|---|---|"]
    for key, who in (("ours", "ours"), ("paper", "the paper's CVAE")):
        for region, name in (("lower_face", "lower face"), ("mouth", "mouth")):
            if key in m["smiles"]:
                row = m["smiles"][key][region]
                cells = [
                    f"{row[f'{wish}_asked_{before}_before']:.1%}"
                    for wish, before in (
                        ("smile", "serious"),
                        ("smile", "smiling"),
                        ("no_smile", "smiling"),
                        ("no_smile", "serious"),
                    )
                ]
                lines.append(f"| {who}, {name} | {' | '.join(cells)} |")
    judge, off = m["judge"], m["glasses_off"]
    lines += [
        "",
        f"Of real faces it sees one on {judge['smiles_seen_on_smiling']:.1%} of the smiling and "
        f"{judge['smiles_seen_on_serious']:.1%} of the serious ones.",
    ]
    if off["faces"]:
        lines[-1] += (
            f" Glasses off, {off['faces']} faces with clear ones: gone on {off['gone']:.0%}; "
            f"unchanged: {_kept(off)}."
        )
    truth = m.get("perfect_removal", {"faces": 0})
    if truth["faces"]:
        lines[-1] += (
            f" A perfect removal would score {_kept(truth)}: so often the judge says the same of "
            f"{truth['faces']} faces before and after glasses are painted on them."
        )
    spread = m["diversity"]
    lines[-1] += (
        f" Mean pairwise RMSE of 8 fills in the large hole: {spread['temperature_1']:.3f} at "
        f"temperature 1, {spread['temperature_0']:.3f} at 0."
    )
    if "speed" in m:
        lines[-1] += f" 4 fills take {m['speed']['inpaint_4_ms']:.0f} ms"
        if "handler_4_ms" in m["speed"]:
            lines[-1] += f", the whole handler {m['speed']['handler_4_ms']:.0f} ms"
        lines[-1] += "."
    if m.get("remark"):
        lines += ["", m["remark"]]
    return "\n".join(lines)


def _kept(found: dict[str, float | int]) -> str:
    return ", ".join(f"{name} {found[f'{name}_kept']:.0%}" for name in ("Male", "Young", "Smiling"))


def codes_table(found: dict[str, dict[str, Any]]) -> str:
    """Markdown, a column a codebook; `found` is each kind's metrics."""
    lines = ["| test split | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]

    def row(name: str, say: Callable[[dict[str, Any]], str]) -> None:
        cells = []
        for measured in found.values():
            try:
                cells.append(say(measured))
            except KeyError:
                cells.append("")
        if any(cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")

    def of(m: dict[str, Any], key: str) -> dict[str, float]:
        return m["reconstruction"] if key == "ours" else m[key]["reconstruction"]

    row("grid, K", lambda m: f"{m['grid']}x{m['grid']}, {m['codes']}")
    row("bits a picture", lambda m: f"{m['grid'] ** 2 * math.log2(m['codes']):.0f}")
    row("the same, pythae's VQ-VAE", lambda m: f"{m['pythae']['bits_per_picture']:.0f}")
    for key, name in (("ours", "reconstruction"), ("pythae", "the same, pythae's")):
        row(f"{name}: PSNR, dB", lambda m, key=key: f"{of(m, key)['psnr']:.2f}")
        row(f"{name}: mean squared error", lambda m, key=key: f"{of(m, key)['mse']:.5f}")
        row(f"{name}: IoU at 0.5", lambda m, key=key: f"{of(m, key)['iou']:.3f}")
        row(f"{name}: SSIM", lambda m, key=key: f"{of(m, key)['ssim']:.3f}")
    row("perplexity / K", lambda m: f"{m['perplexity_over_k']:.2f}")
    row("the same, pythae's", lambda m: f"{m['pythae']['perplexity_over_k']:.2f}")
    row("dead codes", lambda m: f"{m['dead_share']:.1%}")
    for key, name in (("uniform", "log K"), ("unigram", "unigram"), ("prior", "the prior")):
        row(f"nats a code: {name}", lambda m, key=key: f"{m['nats_per_code'][key]:.2f}")
    edits = next(iter(found.values()))["edits"] if found else {}
    for edit in edits:
        row(
            f"{edit}: edited codes against edited pixels, dB",
            lambda m, edit=edit: f"{m['edits'][edit]['psnr']:.1f}",
        )
    row("still read, no edit", lambda m: f"{m['read']:.1%}")
    for edit in edits:
        row(
            f"still read after {edit}: codes / pixels",
            lambda m, edit=edit: (
                f"{m['edits'][edit]['read_codes']:.1%} / {m['edits'][edit]['read_pixels']:.1%}"
            ),
        )
    row("samples read as the label asked for", lambda m: f"{m['samples']['read_as_asked']:.1%}")
    row("samples: Fréchet distance", lambda m: f"{m['samples']['frechet']:.2f}")
    row("the same, a VAE's samples", lambda m: f"{m['vae']['frechet']:.2f}")
    for key, name in (("completed", "completed"), ("halves", "alone"), ("chance", "chance")):
        row(f"upper half, {name}: read as it was", lambda m, key=key: f"{m['completion'][key]:.1%}")
    row("an edit, whole handler, ms", lambda m: f"{m['speed']['edit_ms']:.0f}")
    row("16 samples, ms", lambda m: f"{m['speed']['sample_16_ms']:.0f}")
    remarks = [f"{kind.capitalize()}: {m['remark']}" for kind, m in found.items() if m["remark"]]
    return "\n".join([*lines, *(["", " ".join(remarks)] if remarks else [])])


def put_into(readme: str, table: str, stem: str) -> str:
    """`readme` with the table between the markers of `stem`."""
    start = START.format(stem)
    if start not in readme or END not in readme:
        raise ValueError(f"the README has lost its markers {start!r} and {END!r}: put them back")
    pattern = re.escape(start) + ".*?" + re.escape(END)
    return re.sub(pattern, lambda _: f"{start}\n{table}\n{END}", readme, count=1, flags=re.DOTALL)


def read(folder: Path) -> dict[str, Any]:
    """A checkpoint's metrics.json; empty where there is none."""
    path = folder / "metrics.json"
    return json.loads(path.read_text()) if path.exists() else {}


def all_codes(checkpoints: Path) -> dict[str, dict[str, Any]]:
    """The metrics of every codebook that was measured."""
    kinds = ("digits", "sketches", "faces")
    found = {kind: read(checkpoints / f"codes-{kind}") for kind in kinds}
    return {kind: measured for kind, measured in found.items() if "edits" in measured}


def made_of(folder: Path, stem: str) -> str:
    """The table of a stem, from the metrics of a checkpoint's folder and of its like."""
    if stem == "codes":
        return codes_table(all_codes(folder.parent))
    return {"sketch": sketch_table, "inpaint": inpaint_table}[stem](read(folder))


def record(folder: Path, measured: dict[str, Any], readme: Path | None, stem: str) -> None:
    """Merge what was measured into metrics.json, put it in the README, print it."""
    text = json.dumps(read(folder) | measured, indent=2)
    checkpoint.write(folder, {"metrics.json": f"{text}\n".encode()})
    if readme:
        readme.write_text(put_into(readme.read_text(), made_of(folder, stem), stem))
    print(text)  # noqa: T201
