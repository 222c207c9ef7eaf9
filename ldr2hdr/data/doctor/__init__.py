"""Look at every file of a data set and tell what would break training, what is doubtful, and what is worth knowing."""
