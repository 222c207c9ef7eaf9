"""Layers whose first and second derivatives are written out: fewer and faster operations in an inner loop."""
