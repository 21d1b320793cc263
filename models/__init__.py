"""All that inference needs: networks, pictures in and out, checkpoints."""
