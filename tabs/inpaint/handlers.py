"""From a photo, a hole and wishes to fills, with every argument checked."""

from tabs import model_cache
from tabs.components import face_editor
from tabs.face_photo import FacePhoto, Mask, Pixels
from tabs.inpaint.render import Fills
from tabs.validation import MAX_SEED, check_choice, check_number, user_error

SMILES = ("as it comes", "smile", "no smile", "side by side")
GLASSES = ("as it comes", "no glasses", "glasses")
WISHES = {"as it comes": None, "smile": True, "no smile": False}
MAX_COUNT, MAX_TEMPERATURE, MAX_TRAINED = 16, 2.0, 0.30


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
    """The hole, and `count` fills a wish about the smile from one noise; arguments are checked.

    `pad` holds what was erased, as `face_editor.parse_mask` reads it.
    """
    hole = face_editor.parse_mask(pad, photo)
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
    square = face_alignment.crop(Image.fromarray(photo), transform, size)
    mask = face_alignment.crop_mask(hole, transform, size)
    if not mask.any():
        raise user_error("The hole lies beside the face: drag a rectangle over a part of the face.")
    if mask.all():
        raise user_error("The hole covers the whole face: leave something to go on from.")
    titles = ["smile", "no smile"] if smile == "side by side" else [smile]
    without = {"as it comes": None, "no glasses": False, "glasses": True}[glasses]
    try:
        made = [
            model.inpaint(square, mask, WISHES[title], without, count, temperature, seed)
            for title in titles
        ]
    except ValueError as error:
        raise user_error(str(error)) from error
    squares = torch.stack(made).cpu()
    said = [judged(classifier.probabilities(row)) for row in squares]
    filled = model.hole(square, mask, without)
    share = float(filled.mean())
    warning = (
        f"The hole takes {share:.0%} of the face's square; the model was trained on at most "
        f"{MAX_TRAINED:.0%}, so expect less."
    )
    return hole, Fills(
        face,
        {name: pad[name] for name in ("holes", "strokes", "brush") if name in pad},
        titles,
        (squares * 255).round().byte().numpy(),
        said,
        f"Before: {judged(classifier.probabilities(square[None]))[0]}.",
        warning if share > MAX_TRAINED else "",
        None if torch.equal(filled, mask) else filled.cpu().numpy() > 0,
    )


def judged(probabilities: dict[str, list[float]]) -> list[str]:
    """What a separate classifier sees in each face."""
    pairs = zip(probabilities["Smiling"], probabilities["Eyeglasses"], strict=True)
    return [f"smile {smile:.0%}, glasses {glasses:.0%}" for smile, glasses in pairs]
