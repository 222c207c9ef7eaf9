"""Turn a checkpoint into the weights that ship: ``python experiments/pretrained/ship.py CKPT OUT.safetensors``.

With ``--experiment highlights``, CKPT is the network of `experiments/highlights` alone, and all around it is as that
experiment of ``conf/`` has it: the response stage's prior and the learner start as they are.
"""

import argparse
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file
from torch import Tensor

from ldr2hdr.build import CONF_DIR, build_learner
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
    write(out, content.config, dict(content.learner_state))


def ship_network(network: Path, out: Path, *, experiment: str) -> None:
    """Write theta of which a network was trained by itself.

    Args:
        network: Its tensors by name, as safetensors.
        out: The file to write.
        experiment: Of ``conf/experiment``; its backbone has the network as ``net``.
    """
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        config = compose("train", overrides=[f"experiment={experiment}", "paths.output_dir=none"])
    OmegaConf.resolve(config)
    learner = build_learner(config)
    learner.model.backbone.net.load_state_dict(load_file(network))
    write(out, config, learner.state_dict())


def write(out: Path, full: DictConfig, state: dict[str, Tensor]) -> None:
    """Write tensors and the parts of their configuration that are worth knowing."""
    config = OmegaConf.masked_copy(full, [key for key in KEPT if key in full])
    for node in config.dataset.values():
        if OmegaConf.is_dict(node):
            node.update({key: None for key in PATHS if key in node})
    write_weights(out, Weights(OmegaConf.to_yaml(config), state))
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, sha256 {checkpoint_hash(out)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--experiment", help="of conf/: the rest, where the checkpoint is a network alone")
    args = parser.parse_args()
    if args.experiment is None:
        ship(args.checkpoint, args.out)
    else:
        ship_network(args.checkpoint, args.out, experiment=args.experiment)
