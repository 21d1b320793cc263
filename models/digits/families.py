"""All models of digits, as `models.checkpoint` finds them."""

from models.digits.autoencoder import Autoencoder
from models.digits.cvae import CVAE
from models.digits.diffusion import Diffusion
from models.digits.gan import GAN
from models.digits.hierarchical import HierarchicalVAE
from models.digits.vae import VAE
from models.digits.vq import VQ

MODELS = (Autoencoder, VAE, HierarchicalVAE, CVAE, GAN, Diffusion, VQ)
