"""Camera calibration: response recovery, exposure merging, alignment and scale, from photographs of one scene."""
