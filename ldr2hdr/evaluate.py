"""Judge a checkpoint on unseen places and cameras: ``python -m ldr2hdr.evaluate ckpt=...``.

Torch is imported when the configuration is composed: ``--help`` needs none.
"""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ldr2hdr.configuration.env_file import load_env_file
from ldr2hdr.configuration.folders import CONF_DIR, quote_paths, search_registered_folders, stay_where_started

search_registered_folders()


@hydra.main(version_base="1.3", config_path=CONF_DIR, config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Score the checkpoint beside the baselines; tables on the terminal, files in the run's folder."""
    from rich.console import Console

    from ldr2hdr.build import one_screen_errors
    from ldr2hdr.evaluation.judging import judge
    from ldr2hdr.evaluation.results import TABLE_WIDTH, print_tables

    # a file or a pipe has no width of its own, and the tables are wider than the customary 80 columns
    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH)
    folder = Path(HydraConfig.get().runtime.output_dir)
    with one_screen_errors():
        stay_where_started(cfg)
        results = judge(cfg, folder, console)
    if cfg.tables:
        print_tables(console, **results._asdict())
    shown = {"results": "results.json", "scores of each picture": "scores.csv"}
    if cfg.panel is not None and cfg.ckpt is not None:
        shown |= {"one photo, before and after adaptation": "panel.png", "that photo": "photo.png"}
    if cfg.samples:
        shown |= {"sampled pictures": "samples"}
    for what, name in shown.items():
        console.print(f"{what}: {folder / name}", soft_wrap=True)


if __name__ == "__main__":
    sys.argv[1:] = quote_paths(sys.argv[1:])
    load_env_file()
    main()
