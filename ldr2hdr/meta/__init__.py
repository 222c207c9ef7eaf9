"""Meta-learners: they adapt parameters to a task, and learn theta from many tasks."""
