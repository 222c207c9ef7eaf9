"""What `pip wheel` and `pip install` do besides copying the package: put conf/ into it."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPackage(build_py):
    """Copy ``conf/`` to ``ldr2hdr/conf``, where an installed ldr2hdr looks for it; a checkout has it at the top."""

    def run(self) -> None:
        """Build the package, then copy; an editable install copies nothing."""
        super().run()
        if not self.editable_mode:
            shutil.copytree("conf", Path(self.build_lib, "ldr2hdr", "conf"), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildPackage})
