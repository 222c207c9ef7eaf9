"""Scenes: linear radiance maps, the places that they show, and the views that are cut from them."""
