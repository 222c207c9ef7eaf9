"""Networks from an LDR picture to sensor exposure."""
