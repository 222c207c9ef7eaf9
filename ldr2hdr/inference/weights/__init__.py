"""Model that ships with the package; `experiments/pretrained/README.md` says what it was trained on."""

from pathlib import Path
from typing import Final

SHIPPED: Final = Path(__file__).with_name("prior_highlights.safetensors")
