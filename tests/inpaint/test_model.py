"""Laws of the inpainting networks."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from models import checkpoint
from models.inpaint.attributes import OFF, ON, UNKNOWN, fill_from_photo, seeded_noise
from models.inpaint.cvae import FaceCVAE, FaceCVAEConfig
from models.inpaint.membrane import attach
from models.inpaint.model import MODELS, InpaintConfig, Inpainter
from tests.helpers.random_weights import randomized
from training.inpaint.losses import Fills, hole_l1
from training.metrics.image import border_step

NAMES = ("Smiling", "Eyeglasses", "Male", "Young")
TINY = InpaintConfig(64, NAMES, (8, 8, 16), 8, 4, 6, 16, 2)
TABLE = {
    Inpainter: lambda: Inpainter(TINY),
    FaceCVAE: lambda: FaceCVAE(FaceCVAEConfig(32, 8, 4, 9, (8, 8, 8, 8))),
}


def face(size: int = 64) -> torch.Tensor:
    return torch.rand(3, size, size, generator=torch.Generator().manual_seed(1))


def hole(size: int = 64) -> torch.Tensor:
    mask = torch.zeros(size, size)
    mask[size // 2 : -4, 6 : size // 2 + 4] = 1
    return mask


def composed(logits: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Decoded fills in a face, meeting the border."""
    n = len(logits)
    whole = attach(logits.sigmoid(), image.expand(n, -1, -1, -1), mask.expand(n, 1, -1, -1))
    return whole.clamp(0, 1)


def batch(count: int = 4, size: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Faces, holes, attributes."""
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(count, 3, size, size, generator=generator)
    attributes = torch.randint(0, 3, (count, len(NAMES)), generator=generator)
    return x, hole(size).expand(count, 1, size, size), attributes


def test_every_model_has_a_test_case():
    assert set(MODELS) == set(TABLE)


@pytest.mark.parametrize("cls", MODELS)
def test_a_checkpoint_gives_the_same_network(cls, tmp_path):
    model = TABLE[cls]().half().float()
    checkpoint.save(tmp_path / "inpaint", model)
    again = checkpoint.load(tmp_path / "inpaint")
    assert again.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


@pytest.mark.parametrize("cls", MODELS)
def test_a_gradient_reaches_every_parameter(cls):
    model = randomized(TABLE[cls]()).train()
    x, mask, attributes = batch()
    if cls is Inpainter:
        out = model(x, mask, attributes, n_prior=2)
        loss = out.logits.square().mean() + out.posterior.kl(out.prior).mean()
        loss = loss + model.predict_attributes(x, mask).square().mean()
        loss = loss + model.glasses_segmenter(x).square().mean()
    else:
        out = model((x * (1 - mask))[:, :, :32, :32], attributes[:, :2])
        loss = out.logits.square().mean() + out.posterior.kl().mean()
    loss.backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not [name for name in silent if name != "label_embed.weight"]
    for name in silent:  # an embedding has no gradient in rows that the batch lacks
        assert model.get_parameter(name).grad is not None


def test_pixels_outside_the_hole_are_unchanged_bit_for_bit():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    fills = model.inpaint(x, mask, count=5)
    kept = (mask == 0).expand(5, 3, -1, -1)
    assert torch.equal(fills[kept], x.expand(5, -1, -1, -1)[kept])
    assert not torch.equal(fills[~kept], x.expand(5, -1, -1, -1)[~kept])
    assert fills.min() >= 0
    assert fills.max() <= 1


def test_hidden_pixels_do_not_influence_a_fill():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(7))
    other = torch.where(mask > 0, noise, x)
    for glasses in (None, True):
        fills = (model.inpaint(face, mask, glasses=glasses) for face in (x, other))
        assert torch.equal(*fills)


def test_a_fill_meets_its_border():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    x = 0.5 + 0.1 * x
    fills = model.inpaint(x, mask, count=4)
    raw = model.decode(
        torch.zeros(1, TINY.latent_dim),
        model.context(x[None], mask[None, None]),
        model.embed_attributes(torch.full((1, len(NAMES)), UNKNOWN)),
    ).sigmoid()
    pasted = torch.where(mask > 0, raw, x)
    steps = [border_step(y.detach(), mask.expand(len(y), -1, -1) > 0) for y in (fills, pasted)]
    assert steps[0] < 0.7 * steps[1]


@pytest.mark.parametrize("smile", [True, False, None])
def test_removing_glasses_sets_unknown_attributes_from_the_photo(smile):
    model, x, mask = randomized(Inpainter(TINY)).eval(), face(), hole()
    model.glasses_segmenter.out[-1].bias.data -= 100  # no glasses: all of the hole is filled
    images, seen, scale = (
        [x, torch.where(mask > 0, 1 - x, x), torch.where(mask > 0, 0.0, x)],
        set(),
        TINY.attribute_scale,
    )
    with torch.no_grad():  # an untrained network would predict the same for all
        model.attribute_head.mlp[-1].bias -= model.predict_attributes(
            torch.stack(images), mask.expand(3, 1, 64, 64)
        ).mean(0)
    for image in images:
        with torch.no_grad():
            shown = (model.predict_attributes(image[None], mask[None, None])[0] > 0).long()
        shown[1] = OFF
        shown[0] = shown[0] if smile is None else int(smile)
        with torch.inference_mode():
            context = model.context(image[None], mask[None, None])
            null = torch.tensor([[UNKNOWN, OFF, UNKNOWN, UNKNOWN]])
            attr = torch.lerp(
                model.embed_attributes(null), model.embed_attributes(shown[None]), scale
            )
            z = model.prior(context, attr).sample(seeded_noise(4, TINY.latent_dim, 0))
            logits = model.decode(z, context.expand(4), attr.expand(4, -1))
            expected = composed(logits, image, mask)
        torch.testing.assert_close(model.inpaint(image, mask, smile, False), expected)
        seen.add(tuple(shown.tolist()))
    assert smile is not None or len(seen) > 1


def test_only_unknown_attributes_come_from_the_photo_and_only_if_glasses_are_removed():
    rng = torch.Generator().manual_seed(0)
    attributes = torch.randint(0, 3, (200, 4), generator=rng)
    logits = torch.randn(200, 4, generator=rng)
    found = fill_from_photo(attributes, NAMES, logits)
    for before, after, row in zip(
        attributes.tolist(), found.tolist(), logits.tolist(), strict=True
    ):
        for i, name in enumerate(NAMES):
            from_photo = before[1] == OFF and before[i] == UNKNOWN and name != "Eyeglasses"
            assert after[i] == ((ON if row[i] > 0 else OFF) if from_photo else before[i])
    no_glasses = torch.zeros(2, 1, dtype=torch.long)
    assert torch.equal(fill_from_photo(no_glasses, ("Smiling",), torch.ones(2, 1)), no_glasses)


def test_a_seed_gives_the_same_fills_for_any_count():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    few, many = model.inpaint(x, mask, count=2, seed=5), model.inpaint(x, mask, count=9, seed=5)
    torch.testing.assert_close(few, many[:2], atol=1e-5, rtol=0)
    assert (few[0] - few[1]).abs().max() > 1e-3
    assert (few - model.inpaint(x, mask, count=2, seed=6)).abs().max() > 1e-3


def test_diversity_grows_with_the_temperature():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    spread = [model.inpaint(x, mask, count=6, temperature=t).std(0).max() for t in (0.0, 0.5, 1.0)]
    assert spread[0] < 1e-5 < spread[1] < spread[2]


def test_each_attribute_changes_the_fill():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    fills = [
        model.inpaint(x, mask, smile=smile, glasses=glasses, count=1)
        for smile in (True, False, None)
        for glasses in (True, False, None)
        if (smile, glasses) != (None, False)  # then the smile comes from the photo
    ]
    for i, one in enumerate(fills):
        for other in fills[:i]:
            assert (one - other).abs().max() > 1e-4


def test_the_network_takes_other_sizes():
    model = randomized(Inpainter(TINY))
    for size in (96, 128):
        x, mask, attributes = batch(size=size)
        assert model(x, mask, attributes).logits.shape == x.shape


def test_the_last_rows_are_sampled_from_the_prior_the_others_from_the_posterior():
    model = randomized(Inpainter(TINY))
    x, mask, attributes = batch()
    noise = seeded_noise(4, 6, 0)
    with torch.inference_mode():
        bound, mixed = (
            model(x, mask, attributes, noise),
            model(x, mask, attributes, noise, n_prior=1),
        )
        context, attr = model.context(x, mask), model.embed_attributes(attributes)
        free = model.decode(model.prior(context, attr).sample(noise), context, attr)
    torch.testing.assert_close(bound.logits[:3], mixed.logits[:3])
    torch.testing.assert_close(free[3:], mixed.logits[3:])


BAD = {
    "another size": (dict(image=face(48)), r"image must be \(3, 64, 64\)"),
    "NaN": (dict(image=face() * torch.nan), r"floats in \[0, 1\], no NaN"),
    "bytes": (dict(image=torch.zeros(3, 64, 64, dtype=torch.uint8)), "floats"),
    "a soft mask": (dict(mask=hole() * 0.5), "0 .keep. or 1"),
    "no hole": (dict(mask=torch.zeros(64, 64)), "a hole"),
    "nothing around": (dict(mask=torch.ones(64, 64)), "something around it"),
    "no fills": (dict(count=0), "count must be 1 to 64: 0"),
    "a temperature of NaN": (dict(temperature=float("nan")), "temperature must be 0 to 10"),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_inputs_raise_one_sentence(name):
    change, text = BAD[name]
    with pytest.raises(ValueError, match=text):
        Inpainter(TINY).inpaint(**({"image": face(), "mask": hole()} | change))


def test_one_batch_overfits():
    torch.manual_seed(0)
    model = Inpainter(TINY)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    x, mask, attributes = batch()
    x = F.interpolate(x[:, :, ::8, ::8], scale_factor=8, mode="bilinear")  # no noise to memorise
    losses = []
    for _ in range(150):
        out = model(x, mask, attributes)
        filled = torch.lerp(x, out.logits.sigmoid(), mask)
        losses.append(hole_l1(Fills(filled, x, mask), x.shape[-1]).mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert float(losses[-1].detach()) < 0.6 * float(losses[0].detach())


@pytest.mark.parametrize("state", [OFF, ON, UNKNOWN])
def test_the_embedding_is_a_sum_of_columns(state):
    model = randomized(Inpainter(TINY))
    attributes = torch.tensor([[state, UNKNOWN, UNKNOWN, UNKNOWN]])
    columns = model.attr_embed.weight[:, [state, *(3 * i + UNKNOWN for i in (1, 2, 3))]].sum(1)
    torch.testing.assert_close(model.embed_attributes(attributes)[0], columns)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_attribute_scale_interpolates_from_unconditional_to_conditional_sampling(scale):
    model = randomized(Inpainter(replace(TINY, attribute_scale=scale)))
    x, mask, noise = face(), hole(), seeded_noise(2, TINY.latent_dim, 0)
    attributes = torch.tensor([[ON, ON, OFF, UNKNOWN]])
    null = torch.tensor([[UNKNOWN, ON, UNKNOWN, UNKNOWN]])  # glasses are never interpolated
    with torch.inference_mode():
        attr = scale * model.embed_attributes(attributes)
        attr = (attr + (1 - scale) * model.embed_attributes(null)).expand(2, -1)
        context = model.context(x[None], mask[None, None]).expand(2)
        logits = model.decode(model.prior(context, attr).sample(noise), context, attr)
        expected = composed(logits, x, mask)
    batch = (part.expand(2, -1, -1, -1) for part in (x[None], mask[None, None]))
    found = model.sample(*batch, attributes.expand(2, -1), noise)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("glasses", [None, True, False])
def test_inpaint_each_equals_single_calls_and_returns_the_effective_mask(glasses):
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    smiles = (True, False, None)
    sample = model.inpaint_each(x, mask, smiles, glasses, count=3, seed=2)
    for faces, smile in zip(sample.faces, smiles, strict=True):
        assert torch.equal(faces, model.inpaint(x, mask, smile, glasses, count=3, seed=2))
    attributes = torch.tensor([[UNKNOWN, OFF if glasses is False else UNKNOWN, UNKNOWN, UNKNOWN]])
    expected = model.effective_mask(x[None], mask[None, None], attributes)[0, 0]
    assert torch.equal(sample.mask, expected)
    changed = (sample.faces != x).any(2).flatten(0, 1).any(0)
    assert not (changed & (sample.mask == 0)).any()


def test_the_glasses_are_segmented_once_and_the_face_encoded_once():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    calls = []
    for module in (model.glasses_segmenter, model.posterior_net, model.stem):
        module.register_forward_hook(lambda module, *_: calls.append(module))
    model.inpaint_each(x, mask, (True, False), glasses=False)
    assert calls.count(model.glasses_segmenter) == 1
    assert calls.count(model.posterior_net) == 1
    assert calls.count(model.stem) == 1
