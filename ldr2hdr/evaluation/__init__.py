"""Evaluation: systems, scores, comparisons and reports."""
