"""Started by `accelerate launch`: gradients after the first batch, of each sketch network."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from models.sketch.cvae import SketchCVAEConfig
from models.sketch.tokens import SketchConfig
from training.data import quickdraw
from training.sketch import config, reinforce
from training.sketch.losses import cvae_elbo, strokes_loss

TINY = SketchConfig(quickdraw.CLASSES, 64, 4, 8, 16, 2, 1, 1, 12)


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """Those that there are, by the names of their parameters."""
    return {n: p.grad for n, p in module.named_parameters() if p.grad is not None}


if __name__ == "__main__":
    data_dir, out = map(Path, sys.argv[1:])
    paper = SketchCVAEConfig(64, 8, (4, 4, 2))
    cfg = config.Config(architecture="paper", paper=paper, model=TINY, batch_size=4)
    acc = Accelerator(cpu=True)
    drawings = quickdraw.load_train(data_dir / "quickdraw", data_dir / "cache")
    found = {"processes": acc.num_processes}

    torch.manual_seed(0)
    model = config.make_model(cfg)
    parallel = acc.prepare(model)
    whole = config.make_dataset(cfg, drawings)[0][0]
    batch = whole.shard(acc.process_index, acc.num_processes, acc.device)
    acc.backward(cvae_elbo(parallel(batch.x, batch.partial, batch.noise), batch.x)["loss"])
    found |= {"rows": len(batch.x), "paper": gradients(model)}

    torch.manual_seed(0)
    model = config.make_model(replace(cfg, architecture="strokes"))
    parallel, critic = acc.prepare(model), reinforce.SketchCritic(len(TINY.labels))
    logits = parallel(batch.points, batch.partial, batch.label)
    acc.backward(strokes_loss(logits, batch.points, batch.label)["loss"])
    out_critic = critic(
        *reinforce.critic_inputs(reinforce.real_sequences(batch), batch), batch.label
    )
    acc.backward(reinforce.critic_loss(out_critic, batch.label, 1)["loss"])
    reinforce.average_gradients(critic, acc)
    found |= {"strokes": gradients(model), "critic": gradients(critic)}

    if acc.is_main_process:
        torch.save(found, out)
    acc.wait_for_everyone()  # torch aborts if a peer leaves while another still talks to it
    acc.end_training()
    os._exit(0)  # all is written; tearing down torch's threads may still abort
