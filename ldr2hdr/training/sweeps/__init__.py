"""Sweeps: what each job of a multirun was and gave, on one table and one plot.

Nothing is imported here: every start of ``ldr2hdr.train`` imports ``sweeps.watch``, and only the end of a sweep needs
the plot.
"""
