"""Training with Lightning: the module, checkpoints, callbacks, loggers and sweeps."""
