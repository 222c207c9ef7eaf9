"""Released weights of other projects: read without running code, checked entry by entry, named as our networks are."""
