"""Meta-learned LDR to HDR reconstruction that adapts to a camera from a few examples.

In five lines, from a bracket shot once to the light that a photograph lost::

    import ldr2hdr

    model = ldr2hdr.load()                  # the model that ships with the package; or load("last.ckpt")
    phi = model.adapt("bracket/")           # exposures of one scene; EXIF has their times
    hdr = phi("photo.jpg")                  # linear light (3, h, w), 1 where the camera clips
    phi.save("my_camera.ldr2hdr")           # and later: phi = model.camera("my_camera.ldr2hdr")

``ldr2hdr.write_image("photo.exr", hdr)`` writes it. On the command line, the same is ``ldr2hdr adapt`` and
``ldr2hdr convert --camera``. ``ldr2hdr.merge("bracket/").exposure`` is the light of a bracket. For research without
configurations, `MAMLLearner` meta-learns any network from batches of `Task`, and `MetaModule` trains it with Lightning
(``docs/notebooks/2_your_own_network.ipynb``). What is named here is
imported when it is first used: torch takes seconds.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ldr2hdr.inference.merging.api import merge
    from ldr2hdr.inference.merging.merging import Merged
    from ldr2hdr.inference.profiles.brackets import RefusedBracket
    from ldr2hdr.inference.profiles.model import AdaptedCamera, Model, load
    from ldr2hdr.io import ImageError, read_photo, write_image
    from ldr2hdr.meta.inner_loop import InnerLoop
    from ldr2hdr.meta.maml import MAMLLearner
    from ldr2hdr.tasks import Shots, Task, collate
    from ldr2hdr.training.module import MetaModule

__all__ = [
    "AdaptedCamera",
    "ImageError",
    "InnerLoop",
    "MAMLLearner",
    "Merged",
    "MetaModule",
    "Model",
    "RefusedBracket",
    "Shots",
    "Task",
    "collate",
    "load",
    "merge",
    "read_photo",
    "write_image",
]

# Read when torch is loaded. Threads that spin for long while they wait for each other take two to ten times the CPU
# time beside other programs; without spinning they are slower on cores of their own (experiments/busy_machine).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "1000")}

_HOMES: Final = {
    "AdaptedCamera": "ldr2hdr.inference.profiles.model",
    "ImageError": "ldr2hdr.io",
    "InnerLoop": "ldr2hdr.meta.inner_loop",
    "MAMLLearner": "ldr2hdr.meta.maml",
    "Merged": "ldr2hdr.inference.merging.merging",
    "MetaModule": "ldr2hdr.training.module",
    "Model": "ldr2hdr.inference.profiles.model",
    "RefusedBracket": "ldr2hdr.inference.profiles.brackets",
    "Shots": "ldr2hdr.tasks",
    "Task": "ldr2hdr.tasks",
    "collate": "ldr2hdr.tasks",
    "load": "ldr2hdr.inference.profiles.model",
    "merge": "ldr2hdr.inference.merging.api",
    "read_photo": "ldr2hdr.io",
    "write_image": "ldr2hdr.io",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
