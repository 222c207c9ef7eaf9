"""Examination of every file of a data set: what would break training, what is doubtful, what is worth knowing."""
