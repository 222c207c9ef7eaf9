"""Highlights from a look at the whole photograph at a fixed working size, as a distribution."""
