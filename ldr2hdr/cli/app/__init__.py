"""A page on this machine: drop a photograph, look at its light, download it."""
