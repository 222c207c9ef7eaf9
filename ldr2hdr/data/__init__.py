"""Scenes, virtual cameras and the tasks made of them."""
