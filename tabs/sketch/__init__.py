"""The Sketch tab."""
