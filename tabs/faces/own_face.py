"""A section of the Faces tab: a face through three models, and what an error measure sees."""

import io
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from tabs import model_cache
from tabs.components.picture_columns import PictureColumns
from tabs.faces import portraits

EQUAL_MSE = 0.004  # of all distortions: 24 dB
WINDOW = 11  # px of SSIM's Gaussian window, standard deviation 1.5
ABOUT = """Encoded and drawn again by three models. Under each: the peak signal-to-noise ratio, the
structural similarity, and the distance in the features of our classifier of faces, which know
nothing of persons. All are taken at 64 px, the published models' size. Below: one face distorted in
five ways, with *the same squared error*. An eye does not find them equally bad, nor does SSIM."""


def answer(text: object) -> dict[str, Any]:
    """What the columns show."""
    portrait = portraits.open_portrait(text)
    small = portraits.reduced(portrait.image)
    columns = [
        {
            "name": "Your photo" if portrait.photo else "The sample",
            "picture": portraits.url(portrait.image[0]),
            "alt": "The face as our model gets it",
        }
    ]
    for name, stem in portraits.MODELS.items():
        model = model_cache.get_model(stem)
        image = portrait.image if stem == portraits.OURS else small
        out = model.reconstruct(image)
        at_64 = portraits.reduced(out)
        figures = [
            ["PSNR", f"{psnr(at_64, small):.1f} dB"],
            ["SSIM", f"{ssim(at_64, small):.3f}"],
            ["Features", f"{feature_distance(at_64, small):.2f}"],
        ]
        columns.append(
            {
                "name": name,
                "picture": portraits.url(out[0]),
                "alt": f"The face drawn again: {name}",
                "figures": figures,
            }
        )
    for name, image in distortions(small).items():
        figures = [
            ["PSNR", f"{psnr(image, small):.1f} dB"],
            ["SSIM", f"{ssim(image, small):.3f}"],
            ["Features", f"{feature_distance(image, small):.2f}"],
        ]
        column = {"name": name, "picture": portraits.url(image[0]), "alt": f"The face, {name}"}
        columns.append(column | {"figures": figures})
    return {"columns": columns, "said": "The face by three models."}


def distortions(x: Any) -> dict[str, Any]:
    """Five distortions of faces (1, 3, s, s), each of mean squared error EQUAL_MSE exactly.

    Of each a share of its full strength; so values may leave [0, 1] a little.
    """
    import torch
    from torch.nn import functional as F

    shifted = F.pad(x, (3, 0, 0, 0), mode="replicate")[..., : x.shape[-1]]
    blurred = F.avg_pool2d(F.pad(x, (4, 4, 4, 4), mode="replicate"), 9, 1)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    full = {
        "brighter": x + 0.1,
        "shifted": shifted,
        "blurred": blurred,
        "noisy": x + 0.1 * noise,
        "JPEG": _jpeg(x),
    }
    found = {}
    for name, image in full.items():
        error = (image - x).square().mean().clamp(min=1e-12)
        found[name] = x + (EQUAL_MSE / error).sqrt() * (image - x)
    return found


def _jpeg(x: Any) -> Any:
    import torch

    file = io.BytesIO()
    Image.fromarray(portraits.to_pixels(x[0])).save(file, "JPEG", quality=4)
    pixels = np.array(Image.open(file).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def psnr(x: Any, reference: Any) -> float:
    """dB of pictures in [0, 1]."""
    return float(-10 * (x - reference).square().mean().clamp(min=1e-10).log10())


def ssim(x: Any, reference: Any) -> float:
    """Structural similarity of the luminance (Wang et al. 2004), mean over the pixels."""
    import torch
    from torch.nn import functional as F

    place = torch.arange(WINDOW) - WINDOW // 2
    bell = torch.exp(-0.5 * (place / 1.5) ** 2)
    window = torch.outer(bell, bell)[None, None] / bell.sum() ** 2
    luma = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]

    def blur(grey: Any) -> Any:
        pad = WINDOW // 2
        return F.conv2d(F.pad(grey, (pad,) * 4, mode="reflect"), window)

    a, b = ((picture * luma).sum(1, keepdim=True) for picture in (x, reference))
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    value = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((value / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def feature_distance(x: Any, reference: Any) -> float:
    """Distance in the classifier's features, relative to their length."""
    import torch

    with torch.inference_mode():
        classify = model_cache.get_model("face-classifier")
        a, b = (classify(picture.clamp(0, 1)).features for picture in (x, reference))
        return float((a - b).norm() / b.norm().clamp(min=1e-6))


def build() -> PictureColumns:
    """Layout: the columns."""
    gr.Markdown(ABOUT, elem_classes="credit")
    return PictureColumns(elem_id="faces-own")
