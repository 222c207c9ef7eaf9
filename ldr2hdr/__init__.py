"""Meta-learned LDR to HDR reconstruction that adapts to a camera from a few examples."""
