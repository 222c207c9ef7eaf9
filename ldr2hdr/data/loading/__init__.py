"""Loading: batches of tasks, and prepared data sets that are fast to read."""
