"""Training and evaluation of sketch completion."""
