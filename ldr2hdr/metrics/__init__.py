"""How far a reconstruction is from the truth, where in the picture, and with what certainty."""
