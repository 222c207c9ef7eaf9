"""The picture that shows at a glance what a reconstruction recovered."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from ldr2hdr.io.files import replacing
from ldr2hdr.metrics.functional import LOG2_FLOOR
from ldr2hdr.metrics.hdr import evaluate_pictures
from ldr2hdr.radiometry import expose
from ldr2hdr.tasks import Shots
