"""Two evaluations side by side: paired differences on the pictures that both have."""

from ldr2hdr.evaluation.comparison.paired import Comparison, Difference, compare_results
from ldr2hdr.evaluation.comparison.table import print_comparison

__all__ = ["Comparison", "Difference", "compare_results", "print_comparison"]
