"""Meta-train: ``python -m ldr2hdr.train algo=maml backbone=unet``."""

import hydra
from omegaconf import DictConfig

from ldr2hdr.build import CONF_DIR, build_training, one_screen_errors


@hydra.main(version_base="1.3", config_path=CONF_DIR, config_name="train")
def main(cfg: DictConfig) -> None:
    """Train theta as the configuration says; checkpoints and logs go to the run's folder."""
    with one_screen_errors():
        run = build_training(cfg)
        run.trainer.fit(run.module, run.datamodule, ckpt_path=cfg.ckpt, weights_only=True)


if __name__ == "__main__":
    main()
