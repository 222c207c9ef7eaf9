"""Loggers that show pictures, tables and checkpoints in their own ways, and whose failures never stop a training."""
