"""Classical expansion operators, brought to sensor exposure by one convention: see :mod:`.base`."""
