"""Turn a checkpoint into the weights that ship: ``python experiments/pretrained/ship.py CKPT OUT.safetensors``."""

import argparse
from pathlib import Path

from omegaconf import OmegaConf

from ldr2hdr.io.weights import Weights, write_weights
from ldr2hdr.training.checkpoints import checkpoint_hash, read_checkpoint

# What rebuilds the network, and what tells how it was trained; the rest is of the machine that it was trained on.
KEPT = ("response", "backbone", "loss", "algo", "camera", "task", "optimizer", "data", "module", "dataset", "seed")
PATHS = ("root", "train_root", "cache_dir")


def ship(checkpoint: Path, out: Path) -> None:
    """Write theta and the parts of its configuration that are worth knowing.

    Args:
        checkpoint: A checkpoint that ``ldr2hdr.train`` wrote.
        out: The file to write.
    """
    content = read_checkpoint(checkpoint)
    config = OmegaConf.masked_copy(content.config, [key for key in KEPT if key in content.config])
    for node in config.dataset.values():
        if OmegaConf.is_dict(node):
            node.update({key: None for key in PATHS if key in node})
    write_weights(out, Weights(OmegaConf.to_yaml(config), dict(content.learner_state)))
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, sha256 {checkpoint_hash(out)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    ship(**vars(parser.parse_args()))
