"""One page about evaluations and training runs, with a viewer of their pictures."""

from ldr2hdr.evaluation.report.page import DEFAULT_MAX_MB, DEFAULT_MAX_SCENES, write_report

__all__ = ["DEFAULT_MAX_MB", "DEFAULT_MAX_SCENES", "write_report"]
