"""A run in MLflow, read back by its own client; it is no dependency of the tests, as it brings many of its own."""

import numpy as np
import pytest

from ldr2hdr.training.loggers.surviving import Panel, Table


@pytest.mark.filterwarnings("ignore")  # its own
def test_numbers_configuration_panels_and_tables_come_back(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    from ldr2hdr.training.loggers.mlflow import MLFlowLogger

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    logger = MLFlowLogger("mine", "algo=maml", uri, artifact_location=str(tmp_path / "files"))
    logger.log_metrics({"val/pu_psnr@3": 25.5}, 7)
    logger.show_config({"algo": {"inner": {"steps": 3}}})
    logger.show_panel(Panel("val/task0", 7, np.zeros((4, 4, 3), np.uint8), "a caption"))
    logger.show_table(Table("task_scores", 7, ("place", "score"), [("a", 1.0), ("b", None)]))
    logger.finalize("success")
    assert logger.is_on, "a call failed"
    run = mlflow.MlflowClient(uri).get_run(logger.run_id)
    assert run.info.run_name == "algo=maml"
    assert run.data.metrics == {"val/pu_psnr_at_3": 25.5}
    assert run.data.params == {"algo/inner/steps": "3"}
    assert (tmp_path / "files" / logger.run_id / "artifacts" / "task_scores.json").is_file()
    assert list((tmp_path / "files" / logger.run_id / "artifacts" / "images").glob("val_task0*.png"))
