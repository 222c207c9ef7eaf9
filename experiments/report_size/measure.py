"""Size of a report, and the time until it is usable: python experiments/report_size/measure.py [--time].

Without --time, evaluations with 40 samples are run where they are missing, their reports written and weighed; with it,
the reports that are there are opened in Chromium.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from ldr2hdr.evaluation.report import write_report
from ldr2hdr.inference.weights import SHIPPED

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "evaluation" / "report"))  # the driver of the browser is the tests' own

from devtools import Browser  # noqa: E402

SAMPLES = 10  # of each of the four tables
CROPS = (64, 192)  # what evaluate does unless told otherwise, and the size of its panel
WIDTHS = (1280, 390)
ROUNDS = 3
FULL = "full"
# The clock starts with the navigation; a frame later, what was drawn is on the screen
CLOCK = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("#stage canvas")?.dataset.shows) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.usableAt = performance.now(); }));
}).observe(document, {subtree: true, attributeFilter: ["data-shows"]});
"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"


def main() -> None:
    """Weigh, or time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "report_size")
    parser.add_argument("--time", action="store_true", help="open the reports that are there")
    options = parser.parse_args()
    if options.time:
        time_pages(options.out)
    else:
        weigh(options.out)


def weigh(out: Path) -> None:
    """One report for each size of the samples, and one as large as a report gets."""
    folders = {str(crop_px): [evaluate(out, crop_px)] for crop_px in CROPS}
    largest = folders[str(CROPS[-1])][0]
    again = out / f"{largest.name}_again"
    if not again.is_dir():
        shutil.copytree(largest, again)
    print("| page | scenes | MB |\n|---|---|---|")
    for name, evaluations in (folders | {FULL: [largest, again]}).items():
        path = out / f"{name}.html"
        chosen = write_report(path, evaluations, max_scenes=100)
        print(
            f"| {name} | {len(chosen.scenes)} of {chosen.num_samples} | {path.stat().st_size / 1e6:.1f} |", flush=True
        )


def evaluate(out: Path, crop_px: int) -> Path:
    """Judge the shipped network beside the baselines, unless that was done."""
    folder = out / f"crop_{crop_px}"
    if not (folder / "samples" / "index.json").is_file():  # which is written last
        overrides = [f"ckpt={SHIPPED}", f"samples={SAMPLES}", f"num_tasks={SAMPLES}", f"task.crop_px={crop_px}"]
        overrides += ["steps=[5]", "panel=null", "tables=false", f"hydra.run.dir={folder}"]
        subprocess.run([sys.executable, "-m", "ldr2hdr.evaluate", *overrides], check=True)
    return folder


def time_pages(out: Path) -> None:
    """Each time in a browser that has just been started, widths in turn."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before\n")
    print(f"| page | width | first text, s | usable, s: median of {ROUNDS} (least to largest) | complaints |")
    print("|---|---|---|---|---|")
    for name in (*map(str, CROPS), FULL):
        times = [(width, time_once(out / f"{name}.html", width)) for _ in range(ROUNDS) for width in WIDTHS]
        for width in WIDTHS:
            painted, usable, complaints = zip(*(found for other, found in times if other == width), strict=True)
            spread = f"{min(usable):.2f} to {max(usable):.2f}"
            first = f"{statistics.median(painted):.2f}"
            row = (name, f"{width} px", first, f"{statistics.median(usable):.2f} ({spread})", sum(complaints))
            print(f"| {' | '.join(map(str, row))} |", flush=True)


def time_once(page: Path, width: int) -> tuple[float, float, int]:
    """Seconds from the start of the navigation until there is text and until a picture is drawn; complaints."""
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        try:
            browser.call("Page.addScriptToEvaluateOnNewDocument", source=CLOCK)
            browser.open(page, width=width, height=900 if width > 600 else 844, scale=1 if width > 600 else 3)
            browser.wait("window.usableAt !== undefined")
            painted, usable = (browser.evaluate(text) / 1000 for text in (PAINTED, "window.usableAt"))
            return painted, usable, len(browser.complaints)
        finally:
            browser.close()


if __name__ == "__main__":
    main()
