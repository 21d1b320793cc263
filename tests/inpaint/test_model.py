"""Laws of the inpainting networks, of their losses and of the critic."""

import numpy as np
import pytest
import torch

from models import checkpoint
from models.classifiers import AttributeClassifier, AttributeClassifierConfig
from models.inpaint.attributes import FIRMLY, OFF, ON, UNKNOWN, keeping, seeded_noise
from models.inpaint.cvae import FaceCVAE, FaceCVAEConfig
from models.inpaint.model import MODELS, InpaintConfig, Inpainter
from tests.helpers.random_weights import randomized
from training.inpaint import discriminator
from training.inpaint.discriminator import FaceCritic
from training.perceptual import perceptual_loss

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


def batch(count: int = 4, size: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Faces, holes, attributes."""
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(count, 3, size, size, generator=generator)
    told = torch.randint(0, 3, (count, len(NAMES)), generator=generator)
    return x, hole(size).expand(count, 1, size, size), told


def test_every_model_has_its_row():
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
    x, mask, told = batch()
    if cls is Inpainter:
        out = model(x, mask, told, free=2)
        loss = out.logits.square().mean() + out.posterior.kl(out.prior).mean()
        loss = loss + model.read(x, mask).square().mean() + model.finder(x).square().mean()
    else:
        out = model((x * (1 - mask))[:, :, :32, :32], told[:, :2])
        loss = out.logits.square().mean() + out.posterior.kl().mean()
    loss.backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not [name for name in silent if name != "label.weight"]
    for name in silent:  # a table has no gradient in the rows that nobody asked for
        assert model.get_parameter(name).grad is not None


def test_outside_the_hole_every_bit_stays():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    fills = model.inpaint(x, mask, count=5)
    kept = (mask == 0).expand(5, 3, -1, -1)
    assert torch.equal(fills[kept], x.expand(5, -1, -1, -1)[kept])
    assert not torch.equal(fills[~kept], x.expand(5, -1, -1, -1)[~kept])
    assert fills.min() >= 0
    assert fills.max() <= 1


def test_what_is_under_the_hole_makes_no_difference():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    other = torch.where(mask > 0, 1 - x, x)
    for glasses in (None, True):
        fills = (model.inpaint(face, mask, glasses=glasses) for face in (x, other))
        assert torch.equal(*fills)


@pytest.mark.parametrize("smile", [True, False, None])
def test_where_glasses_go_the_person_stays_as_the_photo_shows_them(smile):
    model, x, mask = randomized(Inpainter(TINY)).eval(), face(), hole()
    model.finder.out[-1].bias.data -= 100  # finds no glasses, so all of the hole is filled
    images, seen = [x, torch.where(mask > 0, 1 - x, x), torch.where(mask > 0, 0.0, x)], set()
    with torch.no_grad():  # an untrained network would read the same from all
        model.reader.head[-1].bias -= model.read(
            torch.stack(images), mask.expand(3, 1, 64, 64)
        ).mean(0)
    for image in images:
        with torch.no_grad():
            shown = (model.read(image[None], mask[None, None])[0] > 0).long()
        shown[1] = OFF
        shown[0] = shown[0] if smile is None else int(smile)
        with torch.inference_mode():
            context = model.context(image[None], mask[None, None])
            none = torch.tensor([[UNKNOWN, OFF, UNKNOWN, UNKNOWN]])
            wishes = torch.lerp(model.wishes(none), model.wishes(shown[None]), FIRMLY)
            z = model.prior(context, wishes).sample(seeded_noise(4, TINY.latent_dim, 0))
            logits = model.decode(z, context.shared(4), wishes.expand(4, -1))
            expected = torch.where(mask > 0, logits.sigmoid(), image)
        torch.testing.assert_close(model.inpaint(image, mask, smile, False), expected)
        seen.add(tuple(shown.tolist()))
    assert smile is not None or len(seen) > 1


def test_only_what_is_open_is_read_and_only_where_glasses_go():
    rng = torch.Generator().manual_seed(0)
    told = torch.randint(0, 3, (200, 4), generator=rng)
    logits = torch.randn(200, 4, generator=rng)
    found = keeping(told, NAMES, logits)
    for before, after, row in zip(told.tolist(), found.tolist(), logits.tolist(), strict=True):
        for i, name in enumerate(NAMES):
            read = before[1] == OFF and before[i] == UNKNOWN and name != "Eyeglasses"
            assert after[i] == ((ON if row[i] > 0 else OFF) if read else before[i])
    bald = torch.zeros(2, 1, dtype=torch.long)
    assert torch.equal(keeping(bald, ("Smiling",), torch.ones(2, 1)), bald)


def test_a_seed_gives_the_same_fills_whatever_their_number():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    few, many = model.inpaint(x, mask, count=2, seed=5), model.inpaint(x, mask, count=9, seed=5)
    torch.testing.assert_close(few, many[:2], atol=1e-5, rtol=0)
    assert (few[0] - few[1]).abs().max() > 1e-3
    assert (few - model.inpaint(x, mask, count=2, seed=6)).abs().max() > 1e-3


def test_cold_fills_are_all_alike_and_heat_spreads_them():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    spread = [model.inpaint(x, mask, count=6, temperature=t).std(0).max() for t in (0.0, 0.5, 1.0)]
    assert spread[0] < 1e-5 < spread[1] < spread[2]


def test_each_wish_changes_the_fill():
    model, x, mask = randomized(Inpainter(TINY)), face(), hole()
    fills = [
        model.inpaint(x, mask, smile=smile, glasses=glasses, count=1)
        for smile in (True, False, None)
        for glasses in (True, False, None)
        if (smile, glasses) != (None, False)  # then the smile is the one that the photo shows
    ]
    for i, one in enumerate(fills):
        for other in fills[:i]:
            assert (one - other).abs().max() > 1e-4


def test_the_network_does_not_care_about_the_size():
    model = randomized(Inpainter(TINY))
    for size in (96, 128):
        x, mask, told = batch(size=size)
        assert model(x, mask, told).logits.shape == x.shape


def test_free_rows_are_filled_from_the_prior_and_the_others_from_the_posterior():
    model = randomized(Inpainter(TINY))
    x, mask, told = batch()
    noise = seeded_noise(4, 6, 0)
    with torch.inference_mode():
        bound, mixed = model(x, mask, told, noise), model(x, mask, told, noise, free=1)
        context, wishes = model.context(x, mask), model.wishes(told)
        free = model.decode(model.prior(context, wishes).sample(noise), context, wishes)
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
    "heat": (dict(temperature=float("nan")), "temperature must be 0 to 10"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_filled_is_refused_in_a_sentence(name):
    change, text = BAD[name]
    with pytest.raises(ValueError, match=text):
        Inpainter(TINY).inpaint(**({"image": face(), "mask": hole()} | change))


def test_one_batch_overfits():
    torch.manual_seed(0)
    model = Inpainter(TINY)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    x, mask, told = batch()
    losses = []
    for _ in range(150):
        out = model(x, mask, told)
        drawn = torch.lerp(x, out.logits.sigmoid(), mask)
        losses.append(discriminator.hole_l1(drawn, x, mask).mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert float(losses[-1].detach()) < 0.6 * float(losses[0].detach())


def test_losses_in_the_hole_are_those_of_brute_force():
    x, mask, _ = batch(3)
    drawn = (x + 0.3 * mask * torch.rand_like(x)).clamp(0, 1)
    by_hand = [
        np.mean([abs(float(d - r)) for d, r, m in zip(*_in_hole(a, b, c), strict=True) if m])
        for a, b, c in zip(drawn, x, mask, strict=True)
    ]
    found = discriminator.hole_l1(drawn, x, mask)
    torch.testing.assert_close(found, torch.tensor(by_hand).float(), atol=1e-5, rtol=1e-4)
    assert (perceptual_loss([x, 2 * x], [x, 2 * x]) == 0).all()
    twice = perceptual_loss([2 * x], [x])
    torch.testing.assert_close(twice, torch.ones(3))


def _in_hole(*parts: torch.Tensor) -> list[torch.Tensor]:
    return [part.expand(3, -1, -1).flatten() for part in parts]


def test_wishes_count_where_they_may():
    logits, asked = torch.randn(5, 2), torch.rand(5, 2) > 0.5
    counts = torch.tensor([[1, 0]] * 5).bool()
    sure = torch.tensor([1.5, 9.0])
    far = [
        1.5 - (1 if a else -1) * float(x) for x, a in zip(logits[:, 0], asked[:, 0], strict=True)
    ]
    expected = torch.tensor(np.mean([max(0.0, each) for each in far])).float()
    torch.testing.assert_close(discriminator.wish_loss(logits, asked, counts, sure), expected)
    assert discriminator.wish_loss(logits, asked, counts & False, sure) == 0


def test_a_face_that_stays_the_same_costs_nothing():
    before, counts = torch.randn(4, 2), torch.tensor([[1, 0], [1, 1], [0, 0], [0, 1]]).bool()
    assert discriminator.kept_loss(before, before, counts) == 0
    other = before.clone()
    other[1] += 1
    p = before[1].sigmoid().double()
    q = other[1].sigmoid().double()
    divergence = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    found = discriminator.kept_loss(other, before, counts)
    torch.testing.assert_close(found.double(), divergence.sum() / 4, rtol=1e-3, atol=1e-6)
    other[2] -= 5
    assert discriminator.kept_loss(other, before, counts) == found


class Plane(torch.nn.Module):
    """A critic whose score is w . face + c mask . face^2, so that its gradient is known."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(
            torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(4))
        )

    def score(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return (self.w * x + mask * x**2).sum((1, 2, 3))


def test_the_penalty_is_the_gradients_square():
    critic, (x, mask, _) = Plane(), batch(2)
    expected = (critic.w + 2 * mask * x).square().sum((1, 2, 3)).mean()
    found = discriminator.gradient_penalty(critic.score, x, mask)
    torch.testing.assert_close(found, expected)
    found.backward()
    by_hand = 2 * (critic.w + 2 * mask * x).mean(0)
    torch.testing.assert_close(critic.w.grad, by_hand.detach())


def test_the_score_listens_to_the_places_of_the_hole_only():
    x, mask, _ = batch(2)
    classifier = AttributeClassifier(AttributeClassifierConfig(("Smiling", "Young"), 4))
    out = FaceCritic(64, (4, 8, 16), (8, 8, 8))(x, mask, classifier(x).feature_maps)
    places = torch.zeros(2, 1, 8, 8)
    places[:, :, 0, 7] = 100
    score = discriminator.CriticOutput(places, torch.zeros(2)).score(batch(2, 64)[1])
    assert (score == 0).all()
    assert out.whole.shape == (2,)


@pytest.mark.parametrize("state", [OFF, ON, UNKNOWN])
def test_wishes_are_one_of_three(state):
    model = randomized(Inpainter(TINY))
    told = torch.tensor([[state, UNKNOWN, UNKNOWN, UNKNOWN]])
    columns = model.wish.weight[:, [state, *(3 * i + UNKNOWN for i in (1, 2, 3))]].sum(1)
    torch.testing.assert_close(model.wishes(told)[0], columns)
