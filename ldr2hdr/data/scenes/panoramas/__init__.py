"""The radiance panoramas that ship with the package; see README.md and manifest.csv beside this file."""
