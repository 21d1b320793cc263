"""docs/results.md and the README's headline figures, rendered from each checkpoint's metrics.json.

`python -m training.release.results_table` writes both anew; the evaluations and benchmarks do so
whenever they have measured a released checkpoint.
"""

import json
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from models import checkpoint

Metrics = dict[str, Any]
ROOT = checkpoint.ROOT.parent
KINDS = ("digits", "sketches", "faces")
DIGITS = {
    "ae": "autoencoder",
    "vae": "VAE",
    "hvae": "hierarchical VAE",
    "cvae": "CVAE",
    "vq": "VQ-VAE and prior",
    "gan": "GAN",
    "diffusion": "diffusion",
}
FACES = {
    "faces": "**ours**, a VAE at 128 px and a flow-matching prior",
    "faces-vae": "Paunovic's VAE, 64 px",
    "faces-plain": "Hou's network with a pixel loss, 64 px",
}
START = "<!-- headline figures: written by `python -m training.release.results_table` -->"
END = "<!-- end of headline figures -->"

PAGE = """# Results

Rendered from `checkpoints/*/metrics.json` by `python -m training.release.results_table`; do not
edit this file. Each section begins with the commands that measure its figures, in the order in
which they run. All figures are for the test split, on two CPU cores. Classifiers that measure a
model had no part in its training.

## Sketch

```sh
python training/train_sketch.py --architecture paper --lr 5e-4 --clip 1000 --steps 1500 \\
    --run-dir runs/sketch-paper --out-dir runs/sketch-paper/checkpoint  # the baseline
python training/evaluate.py sketch  # all figures but times
python benchmarks/sketch.py  # times
```

{sketch}

## Inpaint

```sh
python training/train_inpaint_cvae.py --steps 1500 --gan-steps 4250  # the baseline
python training/evaluate.py inpaint  # all figures but times
python benchmarks/inpaint.py  # times
```

{inpaint}

## Codes

```sh
python benchmarks/codes_pythae.py --kind digits  # the baseline; likewise sketches, faces
python training/evaluate.py codes --kind digits  # all but times; likewise sketches, faces
python benchmarks/codes.py  # times
```

{codes}

## Digits

```sh
python training/train_classifier.py --recipe digit-classifier  # features and classes
python training/evaluate.py digits  # all figures
```

{digits}

## Faces

```sh
python training/evaluate.py faces  # all figures
```

{faces}

Server load, faults and hostile requests are in [SECURITY.md](../SECURITY.md).
"""


def _table(header: str, rows: Iterable[str]) -> list[str]:
    """Markdown lines of a table, cells separated by bars."""
    return ["", f"| {header} |", "|" + "---|" * (header.count("|") + 1), *rows]


def _short(table: Metrics, *keys: str) -> str:
    """A nested figure with three digits; empty where it was not measured."""
    value: Any = table
    for key in keys:
        value = value.get(key) if value else None
    return "" if value is None else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def sketch_table(m: Metrics) -> str:
    """Markdown; figures that were not measured are left out."""
    lines = [
        f"{m['drawings']:,} {m['split']} drawings; given is the first half of their arc length. A "
        "classifier of drawings gives top-1 and, from its features, the Fréchet distance to real "
        "ones."
    ]
    names = {
        "real": "real drawings",
        "partial": "partial drawings",
        "nearest_label": "nearest neighbour in the training set, label given",
        "ours_label": "**ours, label given**",
        "nearest_any": "nearest neighbour in the training set, no label",
        "ours_any": "**ours, no label**",
        "paper": "the paper's CVAE (takes no label)",
    }
    found = {name: m["completions"][key] for key, name in names.items() if key in m["completions"]}
    rows = [f"| {name} | {row['top1']:.3f} | {row['frechet']:.2f} |" for name, row in found.items()]
    lines += _table("| top-1 | Fréchet distance", rows)
    spread, bound = m["spread"], m.get("bound_nats", {})
    cells = [
        (
            "diversity at temperature 1 (mean pairwise 1 - IoU of added ink)",
            _short(spread, "ours", "diversity"),
            _short(spread, "paper", "diversity"),
        ),
        ("diversity at temperature 0", _short(m["spread_at_temperature_0"], "ours", "diversity")),
        (
            "share of pixels with a probability in 0.1..0.9",
            _short(spread, "ours", "uncertain_share"),
            _short(spread, "paper", "uncertain_share"),
        ),
        (
            "lower bound of log p(drawing given half), nats",
            _short(bound, "ours_any"),
            _short(bound, "paper"),
        ),
        ("the same, label given", _short(bound, "ours_label")),
    ]
    if "speed" in m:
        speed = m["speed"]
        stock, own = (
            speed[f"paper_training_{kind}_images_per_s"] for kind in ("stock", "our_loop")
        )
        cells += [
            (
                "16 completions, ms",
                _short(speed, "complete_16_ms"),
                _short(speed, "paper_complete_16_ms"),
            ),
            ("the tab's handler (32 sampled, 16 shown), ms", _short(speed, "handler_16_ms")),
            ("`python app.py` until the page answers, s", _short(speed, "app_start_s")),
            (f"training, images/s (stock float32 loop {stock:.0f})", "", f"{own:.0f}"),
        ]
    rows = [f"| {name} | {ours} | {(*paper, '')[0]} |" for name, ours, *paper in cells]
    lines += _table("| ours | the paper's CVAE", rows)
    return "\n".join([*lines, *_remark(m)])


def inpaint_table(m: Metrics) -> str:
    """Markdown; baselines that were not measured are left out."""
    lines = [
        f"{m['faces']} {m['split']} faces of people who are in no other split, at "
        f"{m['image_size']}x{m['image_size']} px; all of the fill alone, without a requested "
        "attribute. The Fréchet distance is that of a face classifier's features."
    ]
    fills = m["hole"]
    names = {
        "ours": "**ours**",
        "ours_mean_of_8": "ours, mean of 8",
        "stage_one": "ours before adversarial training",
        "paper": "the paper's CVAE",
        "paper_mean_of_8": "the paper's, mean of 8",
        "telea": "OpenCV, Telea",
        "navier_stokes": "OpenCV, Navier-Stokes",
        "mean_colour": "mean colour",
    }
    rows = [
        f"| {area}, {name} | {row['psnr']:.2f} | {row['ssim']:.3f} | {row['sharpness']:.2f} | "
        f"{row['frechet']:.3f} |"
        for size, area in (("small", "2-5 %"), ("large", "8-14 %"))
        for name, row in ((name, fills[key][size]) for key, name in names.items() if key in fills)
    ]
    lines += _table("hole | PSNR, dB | SSIM | sharpness | Fréchet distance", rows)

    steps = {names[key]: found for key, found in m.get("border_step", {}).items()}
    if steps:
        holes = next(iter(steps.values()))
        rows = [
            f"| {who} | {' | '.join(f'{found[hole]:.2f}' for hole in holes)} |"
            for who, found in steps.items()
        ]
        lines += _table(f"step across the hole's border, fill / real | {' | '.join(holes)}", rows)

    requests = [("on", "serious"), ("on", "smiling"), ("off", "smiling"), ("off", "serious")]
    rows = [
        f"| {who}, {name} | "
        + " | ".join(
            f"{m['smile_rates'][key][region][f'{request}_{before}']:.1%}"
            for request, before in requests
        )
        + " |"
        for key, who in (("ours", "ours"), ("paper", "the paper's CVAE"))
        for region, name in (("lower_face", "lower face"), ("mouth", "mouth"))
        if key in m["smile_rates"]
    ]
    header = "classified as smiling"
    for request, before in requests:
        header += f" | {'smile' if request == 'on' else 'no smile'} requested, {before} before"
    lines += _table(header, rows)
    classifier = m["classifier"]
    lines += [
        "",
        f"Of real faces {classifier['smile_rate_smiling']:.1%} of the smiling and "
        f"{classifier['smile_rate_serious']:.1%} of the serious ones are classified as "
        "smiling.",
    ]

    removed, oracle = m["glasses_removal"], m.get("oracle_removal", {"faces": 0})
    if removed["faces"]:
        both = [found for found in (removed, oracle) if found["faces"]]
        header = f"glasses removed | ours, {removed['faces']} faces"
        if oracle["faces"]:
            header += f" | oracle removal, {oracle['faces']} faces"
        rows = [f"| no longer detected | {removed['removed']:.0%} |{' |' * (len(both) - 1)}"]
        for name in ("Male", "Young", "Smiling"):
            cells = " | ".join(f"{found[f'{name}_agreement']:.0%}" for found in both)
            rows.append(f"| {name}: same class before and after | {cells} |")
        lines += _table(header, rows)
    if oracle["faces"]:
        lines += [
            "",
            "The oracle removal shows the very face that is behind the glasses: classified are "
            "faces with synthetic glasses painted on them, and the same faces without.",
        ]

    spread, speed = m["pairwise_rmse"], m.get("speed", {})
    rows = [
        f"| mean pairwise RMSE of 8 fills of the large hole, temperature {t} | "
        f"{spread[f'temperature_{t}']:.3f} |"
        for t in (1, 0)
    ]
    for key, name in (("inpaint_4_ms", "4 fills, ms"), ("handler_4_ms", "the tab's handler, ms")):
        if key in speed:
            rows.append(f"| {name} | {speed[key]:.0f} |")
    lines += _table("| ours", rows)
    return "\n".join([*lines, *_remark(m)])


def codes_table(found: dict[str, Metrics]) -> str:
    """Markdown, a column a codebook; `found` is each kind's metrics."""
    lines: list[str] = []

    def row(name: str, cell: Callable[[Metrics], str]) -> None:
        cells = []
        for measured in found.values():
            try:
                cells.append(cell(measured))
            except KeyError:
                cells.append("")
        if any(cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")

    def reconstruction(m: Metrics, key: str) -> dict[str, float]:
        return m["reconstruction"] if key == "ours" else m[key]["reconstruction"]

    row("grid, K", lambda m: f"{m['grid']}x{m['grid']}, {m['codes']}")
    row("bits per picture", lambda m: f"{m['grid'] ** 2 * math.log2(m['codes']):.0f}")
    row("the same, pythae's VQ-VAE", lambda m: f"{m['pythae']['bits_per_picture']:.0f}")
    for key, name in (("ours", "reconstruction"), ("pythae", "the same, pythae's")):
        row(f"{name}: PSNR, dB", lambda m, key=key: f"{reconstruction(m, key)['psnr']:.2f}")
        row(f"{name}: MSE", lambda m, key=key: f"{reconstruction(m, key)['mse']:.5f}")
        row(f"{name}: IoU at 0.5", lambda m, key=key: f"{reconstruction(m, key)['iou']:.3f}")
        row(f"{name}: SSIM", lambda m, key=key: f"{reconstruction(m, key)['ssim']:.3f}")
    row("perplexity / K", lambda m: f"{m['perplexity_over_k']:.2f}")
    row("the same, pythae's", lambda m: f"{m['pythae']['perplexity_over_k']:.2f}")
    row("dead codes", lambda m: f"{m['dead_share']:.1%}")
    for key, name in (("uniform", "log K"), ("unigram", "unigram"), ("prior", "the prior")):
        row(f"nats per code: {name}", lambda m, key=key: f"{m['nats_per_code'][key]:.2f}")
    edits = next(iter(found.values()))["edits"] if found else {}
    for edit in edits:
        row(
            f"{edit}: edited codes against edited pixels, PSNR, dB",
            lambda m, edit=edit: f"{m['edits'][edit]['psnr']:.1f}",
        )
    row("classified correctly, no edit", lambda m: f"{m['class_accuracy']:.1%}")
    for edit in edits:
        row(
            f"classified correctly after {edit}: codes / pixels",
            lambda m, edit=edit: " / ".join(
                f"{m['edits'][edit][f'accuracy_{by}']:.1%}" for by in ("codes", "pixels")
            ),
        )
    row("samples: class accuracy", lambda m: f"{m['samples']['class_accuracy']:.1%}")
    row("samples: Fréchet distance", lambda m: f"{m['samples']['frechet']:.2f}")
    row("the same, a VAE's samples", lambda m: f"{m['vae']['frechet']:.2f}")
    for key, name in (("completed", "completed"), ("partial", "alone"), ("chance", "chance")):
        row(
            f"upper half, {name}: classified correctly",
            lambda m, key=key: f"{m['completion'][key]:.1%}",
        )
    row("one edit, the tab's handler, ms", lambda m: f"{m['speed']['edit_ms']:.0f}")
    row("16 samples, ms", lambda m: f"{m['speed']['sample_16_ms']:.0f}")
    remarks = [f"{kind.capitalize()}: {m['remark']}" for kind, m in found.items() if m["remark"]]
    table = _table(" | ".join(["test split", *found]), lines)[1:]
    return "\n".join([*table, *(["", " ".join(remarks)] if remarks else [])])


def digits_table(found: dict[str, Metrics]) -> str:
    """Markdown, a row a family of models; those that were not measured are left out."""
    found = {name: m for name, m in found.items() if m}
    if not found:
        return "Not measured yet."
    lines = [
        "Fréchet distance, precision and recall (Kynkäänniemi et al. 2019) of 10,000 samples "
        "against the test split, in the features of the digit classifier; class accuracy of 1,000 "
        "samples of a requested class; PSNR in dB of reconstructing, denoising (sigma 0.5) and "
        "filling the 14x14 centre."
    ]
    header = (
        "model | parameters | KiB | training, min | 16 samples, ms | class accuracy | Fréchet | "
        "precision | recall | reconstruct | denoise | fill"
    )

    def minutes(m: Metrics) -> str:
        return f"{m['training_seconds'] / 60:.0f}" if "training_seconds" in m else ""

    rows = [
        f"| {DIGITS[name]} | {m['parameters']:,} | {m['bytes'] / 1024:.0f} | {minutes(m)} | "
        f"{m['sample_16_ms']:.1f} | {_at(m, 'samples.class_accuracy', '.3f')} | "
        f"{_short(m, 'samples', 'frechet')} | {_short(m, 'samples', 'precision')} | "
        f"{_short(m, 'samples', 'recall')} | "
        + " | ".join(
            f"{m['repair'][f'{task}_psnr']:.1f}"
            for task in ("reconstruction", "denoising", "filling")
        )
        + " |"
        for name, m in found.items()
    ]
    first = next(iter(found.values()))
    real, noisy = first["real_train_against_test"], first["repair"]["noisy_psnr"]
    rows.append(
        f"| real digits, train against test | | | | | | {_short(real, 'frechet')} | "
        f"{_short(real, 'precision')} | {_short(real, 'recall')} | | {noisy:.1f} | |"
    )
    lines += _table(header, rows)
    rows = []
    for name, m in found.items():
        tests = [("whole digit", m["likelihood"])] if "likelihood" in m else []
        tests += [(f"{n} quadrants observed", q) for n, q in m.get("quadrants", {}).items()]
        for what, row in tests:
            rows.append(
                f"| {DIGITS[name]}, {what} | {row['nll']:.2f} | {row['negative_elbo']:.2f} | "
                f"{row['digits']:,} |"
            )
    if rows:
        header = "statically binarised test digits | NLL, nats | negative ELBO, nats | digits"
        lines += _table(header, rows)
        lines += ["", "NLL by importance sampling with 500 samples (Burda et al. 2016)."]
    return "\n".join(lines)


def faces_table(found: dict[str, Metrics]) -> str:
    """Markdown, a row a model; those that were not measured are left out."""
    found = {name: m for name, m in found.items() if m}
    if not found:
        return "Not measured yet."
    first = next(iter(found.values()))
    lines = [
        f"{first['faces']:,} test faces, all models compared at 64 px. Fréchet distance of "
        f"{first['samples']['count']:,} samples, precision, recall (Kynkäänniemi et al. 2019) and "
        "the AUC of a detector (ridge regression on means and spreads of feature maps) in the "
        "features of the face classifier, which had no part in the training. As many training "
        f"faces as there are test faces: Fréchet distance {first['real_train_frechet']:.3g}."
    ]
    header = (
        "model | parameters | KiB | training, min | 16 samples, ms | slider step, ms | Fréchet | "
        "precision | recall | detector's AUC | PSNR, dB | SSIM | sharpness"
    )
    lines += _table(
        header,
        (
            f"| {FACES[name]} | {m['parameters']:,} | {m['bytes'] / 1024:.0f} | "
            f"{m['training_seconds'] / 60:.0f} | {m['sample_16_ms']:.0f} | {m['slider_ms']:.0f} | "
            + " | ".join(
                _short(m, "samples", key)
                for key in ("frechet", "precision", "recall", "detector_auc")
            )
            + f" | {m['reconstruction']['psnr']:.1f} | {m['reconstruction']['ssim']:.3f} | "
            f"{m['reconstruction']['sharpness']:.2f} |"
            for name, m in found.items()
        ),
    )
    rows = [
        f"| {FACES[name]} | {loss['loss']:.1f} | {loss['recon']:.1f} | {loss['kl']:.1f} |"
        for name, m in found.items()
        if (loss := m.get("published_loss"))
    ]
    lines += _table("loss as published, test split | total | half the squared error | KL", rows)
    lines += ["", "The source states 165.0 = 110.4 + 54.7, on a cut and a split of its own."]
    sliders = found.get("faces", {}).get("sliders", {})
    rows = [
        f"| {name} | {row['follows']:.1%} | {row['on_at_plus_2']:.1%} | "
        f"{row['off_at_minus_2']:.1%} | {row['Male_kept']:.1%} | {row['Young_kept']:.1%} |"
        for name, row in sliders.items()
    ]
    if rows:
        header = "slider from -2 to +2 | follows | on at +2 | off at -2 | Male kept | Young kept"
        lines += _table(header, rows)
    nearest = first["samples"]["nearest_training_face"]
    rows = [
        f"| {name} | " + " | ".join(f"{v:.2f}" for v in values) + " |"
        for name, values in nearest.items()
    ]
    header = "distance to the nearest training face, ours | 5 % | median | 95 %"
    lines += _table(header, rows)
    return "\n".join(lines)


def _remark(m: Metrics) -> list[str]:
    return ["", m["remark"]] if m.get("remark") else []


def read(folder: Path) -> Metrics:
    """A checkpoint's metrics.json; empty where there is none."""
    path = folder / "metrics.json"
    return json.loads(path.read_text()) if path.exists() else {}


def all_codes(checkpoints: Path) -> dict[str, Metrics]:
    """The metrics of every codebook that was measured."""
    found = {kind: read(checkpoints / f"codes-{kind}") for kind in KINDS}
    return {kind: measured for kind, measured in found.items() if "edits" in measured}


def render(checkpoints: Path) -> str:
    """The whole of docs/results.md."""
    return PAGE.format(
        sketch=sketch_table(read(checkpoints / "sketch")),
        inpaint=inpaint_table(read(checkpoints / "inpaint")),
        codes=codes_table(all_codes(checkpoints)),
        digits=digits_table({name: read(checkpoints / f"digits-{name}") for name in DIGITS}),
        faces=faces_table({name: read(checkpoints / name) for name in FACES}),
    )


def headlines(checkpoints: Path) -> str:
    """The README's table: three figures a demo, each beside what it is compared with.

    A cell is empty where its figure was not measured.
    """
    sketch, inpaint = (read(checkpoints / name) for name in ("sketch", "inpaint"))
    digits, faces = (read(checkpoints / f"codes-{kind}") for kind in ("digits", "faces"))
    figures = [
        (
            *("Sketch: completions recognised as their class", sketch, ".1%"),
            *("completions.ours_label.top1", "real drawings", "completions.real.top1"),
        ),
        (
            *("Sketch: Fréchet distance to real drawings, label given", sketch, ".2f"),
            *(
                "completions.ours_label.frechet",
                "nearest neighbour",
                "completions.nearest_label.frechet",
            ),
        ),
        (
            *("Sketch: lower bound of log p(drawing given half), nats", sketch, ".0f"),
            *("bound_nats.ours_any", "the paper's CVAE", "bound_nats.paper"),
        ),
        (
            *("Inpaint: PSNR in holes of 8-14 % of the face, dB", inpaint, ".1f"),
            *("hole.ours.large.psnr", "the paper's CVAE", "hole.paper.large.psnr"),
        ),
        (
            *("Inpaint: Fréchet distance with these holes", inpaint, ".2f"),
            "hole.ours.large.frechet",
            *("the paper's CVAE", "hole.paper.large.frechet"),
        ),
        (
            *("Inpaint: serious mouths refilled on request with a smile", inpaint, ".0%"),
            "smile_rates.ours.mouth.on_serious",
            *("the paper's CVAE", "smile_rates.paper.mouth.on_serious"),
        ),
        (
            *("Codes: PSNR of faces decoded from 16x16 codes, dB", faces, ".1f"),
            *("reconstruction.psnr", "pythae's VQ-VAE", "pythae.reconstruction.psnr"),
        ),
        (
            *("Codes: perplexity / K on digits", digits, ".2f"),
            *("perplexity_over_k", "pythae's VQ-VAE", "pythae.perplexity_over_k"),
        ),
        (
            *("Codes: Fréchet distance of sampled digits", digits, ".2f"),
            *("samples.frechet", "pythae's VAE", "vae.frechet"),
        ),
    ]
    rows = []
    for name, metrics, spec, ours, who, theirs in figures:
        own, other = (_at(metrics, path, spec) for path in (ours, theirs))
        rows.append(f"| {name} | {own} | {f'{who} {other}' if other else ''} |")
    return "\n".join(_table("figure | ours | compared with", rows)[1:])


def _at(metrics: Metrics, path: str, spec: str) -> str:
    """The figure at a dotted path, formatted; empty where it was not measured."""
    value: Any = metrics
    for key in path.split("."):
        value = value.get(key) if value else None
    return "" if value is None else format(value, spec)


def replace_section(page: str, table: str) -> str:
    """`page` with the table between the markers of the headline figures."""
    if START not in page or END not in page:
        raise ValueError(f"the README has lost its markers {START!r} and {END!r}: put them back")
    pattern = re.escape(START) + ".*?" + re.escape(END)
    return re.sub(pattern, lambda _: f"{START}\n{table}\n{END}", page, count=1, flags=re.DOTALL)


def update_pages(root: Path = ROOT) -> None:
    """Write docs/results.md and the README's headline figures from `root`/checkpoints."""
    checkpoints, readme = root / "checkpoints", root / "README.md"
    page = replace_section(readme.read_text(), headlines(checkpoints))
    (root / "docs/results.md").write_text(render(checkpoints))
    readme.write_text(page)


def merged(old: Metrics, new: Metrics) -> Metrics:
    """`old` with the figures of `new` in their places, tables within tables too."""
    both = old | new
    for key in old.keys() & new.keys():
        if isinstance(old[key], dict) and isinstance(new[key], dict):
            both[key] = merged(old[key], new[key])
    return both


def record(folder: Path, measured: Metrics) -> None:
    """Merge what was measured into the folder's metrics.json and print it.

    Figures that were not measured now, of a baseline that is not on this machine say, stay. Of a
    released checkpoint the pages are written anew as well.
    """
    text = json.dumps(merged(read(folder), measured), indent=2)
    checkpoint.write(folder, {"metrics.json": f"{text}\n".encode()})
    if folder.resolve().parent == checkpoint.ROOT:
        update_pages()
    print(text)  # noqa: T201


if __name__ == "__main__":
    update_pages()
