"""Adaptation to one's own camera: from a folder of photographs to a camera profile, and back."""
