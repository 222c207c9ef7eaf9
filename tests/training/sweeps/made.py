"""A sweep of four jobs: two that ended, one that failed, one that was killed; its numbers are known."""

from ldr2hdr.training.sweeps.job import Record

REASON = "data.tasks_per_batch must divide | data.num_train_tasks"
COLUMNS = "epoch,step,val/pu_psnr@single,val/pu_psnr@0,val/pu_psnr@3,val/log2_rmse@3,val_unseen/pu_psnr@3"
CURVES = {
    "0_algo=maml,paths.x=a/b": ["0,9,1,20,24,0.5,19", "1,19,1,21,23,0.4,nan"],  # a slash makes a folder
    "1_algo=fomaml": ["0,9,1,20,22,0.5,18", "1,19,1,19,25.5,0.6,17"],
    "10_algo=reptile": [],
    "2_algo=anil": None,
}
# PU21-PSNR of each validation picture at the end: the second job is ahead at each of four places
SCORES = {"0_algo=maml,paths.x=a/b": (22, 23, 24, 23), "1_algo=fomaml": (25, 25, 27, 25)}
RECORDS = {
    "0_algo=maml,paths.x=a/b": Record(0, ["algo=maml", "seed=1"], "completed", 60.0, 23.0, "val/pu_psnr@3"),
    "1_algo=fomaml": Record(1, ["algo=fomaml", "seed=1"], "completed", 90.0, 25.5, "val/pu_psnr@3"),
    "10_algo=reptile": Record(10, ["algo=reptile", "seed=1"], "running"),
    "2_algo=anil": Record(2, ["algo=anil", "seed=1", "+x=1"], "failed", 1.0, error=REASON, traceback="Traceback"),
}


def write_sweep(folder):
    for name, record in RECORDS.items():
        job = folder / name
        (job / ".hydra").mkdir(parents=True)
        lines = "".join(f"- {override}\n" for override in record.overrides)
        (job / ".hydra" / "overrides.yaml").write_text(lines)
        record.write(job)
        if CURVES[name] is not None:
            (job / "csv").mkdir()
            (job / "csv" / "metrics.csv").write_text("\n".join([COLUMNS, *CURVES[name]]) + "\n")
        if name in SCORES:
            rows = [f"val,0,phone,place{number},0,{score}" for number, score in enumerate(SCORES[name])]
            (job / "task_scores.csv").write_text("\n".join(["set,task,camera,place,picture,pu_psnr@3", *rows]) + "\n")
    (folder / "multirun.yaml").write_text("{}\n")
    return folder
