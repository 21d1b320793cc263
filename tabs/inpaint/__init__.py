"""The Inpaint tab."""
