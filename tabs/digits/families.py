"""The six families of models on the Digits tab: their names, checkpoints, losses and limits."""

from typing import NamedTuple

CLASSES = [str(label) for label in range(10)]
ANY = "any"


class Family(NamedTuple):
    """What the page says of a family of models."""

    stem: str
    loss: str
    """HTML: what its training makes small."""
    words: str
    """One sentence for someone who meets it for the first time."""


FAMILIES = {
    "Autoencoder": Family(
        "digits-ae",
        "&#8214;x &minus; D(E(x))&#8214;&sup2;",
        "Squeezes a digit into a few numbers and draws it again; samples come from a Gaussian "
        "fitted to those numbers afterwards.",
    ),
    "VAE": Family(
        "digits-vae",
        "&minus;E<sub>q</sub> log p(x|z) + KL(q(z|x) &#8214; p(z))",
        "The same, but the numbers are kept near a normal distribution, so that new ones can be "
        "drawn from it.",
    ),
    "CVAE": Family(
        "digits-cvae",
        "&minus;E<sub>q</sub> log p(x|z,y) + KL(q(z|x,y) &#8214; p(z|y))",
        "A VAE that is told the class, so that its latent variable holds the style alone.",
    ),
    "VQ-VAE": Family(
        "digits-vq",
        "&#8214;x &minus; D(e)&#8214;&sup2; + &beta;&#8214;E(x) &minus; e&#8214;&sup2;, then "
        "&minus;log p(codes|y)",
        "Writes a digit as 7&times;7 code numbers; a second network learns which codes go "
        "together.",
    ),
    "GAN": Family(
        "digits-gan",
        "&minus;log D(G(z,y)) against &minus;log D(x,y) &minus; log(1 &minus; D(G(z,y)))",
        "One network forges digits, another one looks for forgeries; no likelihood, no encoder.",
    ),
    "Diffusion": Family(
        "digits-diffusion",
        "&#8214;&epsilon; &minus; &epsilon;<sub>&theta;</sub>(x<sub>t</sub>,t,y)&#8214;&sup2;",
        "Learns to take a little noise away, and draws by taking it away from nothing but noise.",
    ),
}  # name on the page -> what is said of it
