"""``python -m ldr2hdr.cli`` is the ``ldr2hdr`` command."""

import sys

from ldr2hdr.cli import main

sys.exit(main())
