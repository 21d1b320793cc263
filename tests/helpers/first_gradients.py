"""Started by `accelerate launch`: the gradients of the paper's CVAE after its first batch."""

import os
import sys
from pathlib import Path

import torch
from accelerate import Accelerator

from models.sketch.cvae import SketchCVAEConfig
from training.data import quickdraw
from training.sketch import config as sketch_plan

if __name__ == "__main__":
    data_dir, out = map(Path, sys.argv[1:])
    cfg = sketch_plan.Config(
        architecture="paper", paper=SketchCVAEConfig(64, 8, (4, 4, 2)), batch_size=4
    )
    acc = Accelerator(cpu=True)
    torch.manual_seed(0)
    model = sketch_plan.network_of(cfg)
    objective = sketch_plan.Objective(cfg, model, acc)
    parallel = acc.prepare(objective.network)
    data = quickdraw.load_train(data_dir / "quickdraw", data_dir / "cache")
    whole = sketch_plan.make_dataset(cfg, data)[0][0]
    batch = whole.shard(acc.process_index, acc.num_processes, acc.device)
    acc.backward(objective.loss(parallel, batch, 0)["loss"])
    if acc.is_main_process:
        gradients = {name: p.grad for name, p in model.named_parameters()}
        torch.save({"processes": acc.num_processes, "rows": len(batch.x), **gradients}, out)
    acc.wait_for_everyone()  # torch aborts where a peer leaves while another still talks to it
    acc.end_training()
    os._exit(0)  # all is written; torch's threads, taken down at leisure, may still abort
