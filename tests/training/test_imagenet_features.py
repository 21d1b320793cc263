"""Frozen ImageNet features."""

import torch

from training.imagenet_features import STAGES, channels_of, load_imagenet_features


def test_maps_have_the_channels_and_sides_of_their_stages():
    network = load_imagenet_features(4)
    maps = network(torch.rand(2, 3, 64, 48))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (16, 32, 24),
        (24, 16, 12),
        (40, 8, 6),
        (80, 4, 3),
    ]
    assert channels_of(4) == (16, 24, 40, 80)
    assert len(load_imagenet_features().stages) == len(STAGES)
    assert not any(p.requires_grad for p in network.parameters())
