"""Train the judge of sketches: `python training/train_judge.py --data-dir DIR` (minutes)."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch.nn import functional as F
from tqdm import tqdm

from training import common
from training.data import completions, quickdraw
from training.judge import SketchJudge, load_judge


@dataclass(frozen=True)
class Config:
    """What one run does."""

    data_dir: Path = Path("data")
    """Folder that holds quickdraw/."""
    out: Path = Path("checkpoints/sketch-judge/model.safetensors")
    cache_dir: Path = Path("~/.cache/latent-studio")
    steps: int = 1_500
    batch_size: int = 128
    lr: float = 2e-3
    seed: int = 1


def main(cfg: Config) -> None:
    """Train on real full drawings, binarised; print the accuracy on the valid split."""
    torch.manual_seed(cfg.seed)
    folder = cfg.data_dir / "quickdraw"
    data = completions.load_train(folder, cfg.cache_dir.expanduser())
    examples = completions.Examples(data, cfg.batch_size, cfg.seed, cfg.steps, limit=1, wholes=True)
    judge = SketchJudge(len(quickdraw.CLASSES)).to(memory_format=torch.channels_last)
    ema = common.EMA(judge)
    optimizer = torch.optim.AdamW(judge.parameters(), cfg.lr, weight_decay=0.05, fused=True)
    bar = tqdm(examples.from_step(0), desc="judge", total=cfg.steps, mininterval=5)
    for step, batch in enumerate(bar):
        with torch.autocast("cpu", torch.bfloat16, enabled=common.has_fast_bf16()):
            logits = judge(batch.x[:, None].gt(127).float()).logits
        loss = F.cross_entropy(logits, batch.label, label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = common.learning_rate(step, cfg.steps, cfg.lr)
        optimizer.step()
        ema.update(judge, step)
        if step % 50 == 0:
            bar.set_postfix(loss=f"{float(loss.detach()):.3f}")
    weights = {name: v.half().contiguous() for name, v in ema.network.state_dict().items()}
    with common.replacing(cfg.out) as file:
        file.write(save(weights))
    full, _, label = completions.halves(folder, "valid")
    logits, _ = load_judge(cfg.out).judge(full)
    bar.write(f"valid accuracy {(logits.argmax(1) == label).mean():.4f} on {len(label)} drawings")


if __name__ == "__main__":
    common.run(main, Config)
