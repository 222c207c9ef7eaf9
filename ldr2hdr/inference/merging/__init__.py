"""Merging of brackets to the light of a scene: files in, sensor exposure out, in bounded memory."""
