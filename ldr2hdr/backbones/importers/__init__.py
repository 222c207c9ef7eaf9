"""Released weights of other projects: read without running code, checked entry by entry, named as our networks are."""

from typing import Final

KINDS: Final = ("expandnet", "hdrcnn", "hdrunet")
"""Authors whose weights can be read; each is an option of ``conf/backbone`` too."""
