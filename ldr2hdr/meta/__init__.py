"""Meta-learners: how parameters are adapted to a task, and how theta is learned from many tasks."""
