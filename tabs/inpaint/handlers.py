"""From a photo, a mask and settings to fills; every argument is checked."""

from tabs import model_cache
from tabs.components import face_editor
from tabs.face_photo import FacePhoto, Mask, Pixels
from tabs.inpaint.render import Fills
from tabs.validation import MAX_SEED, check_choice, check_number, user_error

SMILES = ("as it comes", "smile", "no smile", "side by side")
GLASSES = ("as it comes", "no glasses", "glasses")
ATTRIBUTE_VALUES = {
    "as it comes": None,
    "smile": True,
    "no smile": False,
    "glasses": True,
    "no glasses": False,
}
MAX_COUNT, MAX_TEMPERATURE = 16, 2.0
MAX_TRAINED_AREA = 0.30  # fraction of the crop: the largest rectangles in training


def fill(
    photo: Pixels,
    face: FacePhoto,
    pad: dict,
    smile: str,
    glasses: str,
    count: int,
    temperature: float,
    seed: int,
) -> tuple[Mask, Fills]:
    """The mask, and `count` fills, twice as many from the same noise for "side by side".

    `pad` holds rectangles and strokes, as `face_editor.parse_mask` reads them.
    """
    mask = face_editor.parse_mask(pad, photo)
    smile = check_choice(smile, "Smile", SMILES)
    glasses = check_choice(glasses, "Glasses", GLASSES)
    count = check_number(count, "Count", 1, MAX_COUNT, whole=True)
    temperature = check_number(temperature, "Temperature", 0, MAX_TEMPERATURE)
    seed = check_number(seed, "Seed", 0, MAX_SEED, whole=True)
    model = model_cache.get_model("inpaint")
    classifier = model_cache.get_model("face-classifier")
    import torch
    from PIL import Image

    from models import face_alignment

    transform, size = face_alignment.SimilarityTransform(*face.transform), model.config.image_size
    crop = face_alignment.crop(Image.fromarray(photo), transform, size)
    crop_mask = face_alignment.crop_mask(mask, transform, size)
    if not crop_mask.any():
        raise user_error("The hole lies beside the face: drag a rectangle over a part of the face.")
    if crop_mask.all():
        raise user_error("The hole covers the whole face: leave a part of it visible.")
    titles = ["smile", "no smile"] if smile == "side by side" else [smile]
    smiles = [ATTRIBUTE_VALUES[title] for title in titles]
    settings = (ATTRIBUTE_VALUES[glasses], count, temperature, seed)
    try:
        faces, effective_mask = model.inpaint_each(crop, crop_mask, smiles, *settings)
    except ValueError as error:
        raise user_error(str(error)) from error
    area = float(effective_mask.mean())
    warning = (
        f"The hole takes {area:.0%} of the face's square; the model was trained on at most "
        f"{MAX_TRAINED_AREA:.0%}, so expect less."
    )
    return mask, Fills(
        face,
        {name: pad[name] for name in ("holes", "strokes", "brush") if name in pad},
        titles,
        (faces.cpu() * 255).round().byte().numpy(),
        [describe(classifier.probabilities(row)) for row in faces],
        f"Before: {describe(classifier.probabilities(crop[None]))[0]}.",
        warning if round(area, 2) > MAX_TRAINED_AREA else "",
        None if torch.equal(effective_mask, crop_mask) else effective_mask.cpu().numpy() > 0,
    )


def describe(probabilities: dict[str, list[float]]) -> list[str]:
    """A classifier's probabilities of a smile and of glasses, a text for each face."""
    pairs = zip(probabilities["Smiling"], probabilities["Eyeglasses"], strict=True)
    return [f"smile {smile:.0%}, glasses {glasses:.0%}" for smile, glasses in pairs]
