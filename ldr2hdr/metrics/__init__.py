"""Distance of a reconstruction from the truth: how far, where in the picture, and with what certainty."""
