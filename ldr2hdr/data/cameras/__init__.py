"""Virtual cameras: seeded samples of everything between radiance and an 8-bit picture."""
