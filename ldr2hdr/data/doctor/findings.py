"""Findings of the doctor and their severity."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from ldr2hdr.data.datasets.record import Problem, ProblemKind

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

Kind = (
    ProblemKind
    | Literal[
        "empty",  # nothing to train on
        "leak",  # one picture in two splits
        "near_duplicate",  # pictures in two splits that look alike
        "misaligned",  # exposures of one scene that are shifted
        "not_alignable",  # exposures of one scene that no shift brings together
        "clipped",  # an exposure that is mostly black or white
        "low_range",  # an HDR that holds no more than a photograph
        "nonlinear",  # an HDR that fits its exposures badly
        "split",  # a split without scenes
        "unused",  # a picture that the reader does not take
    ]
)

KIND_TEXTS: Final[dict[Kind, str]] = {
    "empty": "nothing to train on",
    "damaged": "file unreadable or truncated",
    "leak": "one picture in two splits",
    "near_duplicate": "look alike across splits",
    "orphan": "partner missing",
    "duplicate": "the same content twice",
    "size_mismatch": "sizes differ within a scene",
    "misfit": "HDR does not fit its exposures",
    "ev_mismatch": "EV contradicts the pixels",
    "ev_missing": "EV not stated",
    "misaligned": "exposures shifted",
    "not_alignable": "exposures not alignable",
    "clipped": "exposure mostly black or white",
    "low_range": "HDR with little range",
    "nonlinear": "HDR fits its exposures badly",
    "split": "split without scenes",
    "unused": "picture not part of the layout",
}
"""In the order in which they are reported."""

_SEVERITY_OF_PROBLEM: Final[dict[ProblemKind, Severity]] = {
    "orphan": "warning",
    "damaged": "error",
    "duplicate": "warning",
    "size_mismatch": "warning",
    "ev_missing": "note",
    "ev_mismatch": "warning",
    "misfit": "warning",
}


class Finding(NamedTuple):
    """Something about a set that its user should know.

    Attributes:
        severity: ``error`` would break training; of what is left out and reported, a ``warning``.
        kind: What sort.
        path: The file or folder.
        message: What was expected and what was found.
        scene: Id of the scene; None where it is of no scene, or of one that was left out.
    """

    severity: Severity
    kind: Kind
    path: Path
    message: str
    scene: str | None = None


class Group(NamedTuple):
    """Findings of one kind and severity."""

    severity: Severity
    kind: Kind
    findings: tuple[Finding, ...]


def from_problem(problem: Problem, *, scene: str | None = None) -> Finding:
    """Return a reader's problem as a finding."""
    return Finding(_SEVERITY_OF_PROBLEM[problem.kind], problem.kind, problem.path, problem.message, scene)


def group_findings(findings: Iterable[Finding]) -> list[Group]:
    """Group findings by severity, worst first, then by kind; each once."""
    distinct = tuple(dict.fromkeys(findings))
    groups = (
        Group(severity, kind, tuple(entry for entry in distinct if entry[:2] == (severity, kind)))
        for severity in SEVERITIES
        for kind in KIND_TEXTS
    )
    return [group for group in groups if group.findings]
