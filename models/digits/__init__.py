"""Six families of generative models of handwritten digits, with one interface."""
