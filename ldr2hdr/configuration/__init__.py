"""Configurations before anything is built of them: where they are, and whether their values fit."""
