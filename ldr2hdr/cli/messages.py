"""Exit codes, and errors in one line."""

import sys
from pathlib import Path
from typing import Final

FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130


def complain(error: Exception, code: int, *, about: Path | None = None) -> int:
    """Write what went wrong to standard error, naming the file; return the exit code."""
    message = str(error)
    prefix = f"{about}: " if about is not None and str(about) not in message else ""
    sys.stderr.write(f"ldr2hdr: error: {prefix}{message}\n")
    return code
