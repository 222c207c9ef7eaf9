"""Is a profile from one bracket worth having? Unseen cameras, brackets of one test place, photographs of the others.

Everything goes through files, as for a person with a camera: JPEG with EXIF in folders, `Model.adapt`, `AdaptedCamera`.
"""

import argparse
import json
import math
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from picture import draw
from shooting import DrawnCamera, draw_camera, write_bracket, write_photo

import ldr2hdr
from ldr2hdr.baselines.inverse_gamma import InverseGamma
from ldr2hdr.baselines.response_fit import ResponseFit
from ldr2hdr.data.scenes.sources import PanoramaSource
from ldr2hdr.inference.convert import assess_photo
from ldr2hdr.inference.profiles.brackets import RefusedBracket, read_bracket
from ldr2hdr.inference.profiles.fitting import prepare
from ldr2hdr.inference.profiles.model import Model
from ldr2hdr.inference.profiles.support import label_bracket
from ldr2hdr.inference.uncertainty import UNKNOWN_CAMERA_STOPS, Uncertainty
from ldr2hdr.io import read_photo
from ldr2hdr.metrics.bootstrap import bootstrap_difference, bootstrap_mean
from ldr2hdr.metrics.functional import Display, log2_rmse, masked_mean, pu21_psnr
from ldr2hdr.metrics.regions import find_regions
from ldr2hdr.tasks import Shots

SIDE_PX = 256
REGIONS = ("all", "well_exposed", "clipped")
METRICS = ("pu_psnr", "pu_psnr_scaled", "stops")
TRUST = ("rank_correlation", "within_one_sigma", "within_two_sigma", "error_over_sigma")
PAIRS = (
    ("single-shot", "inverse gamma"),
    ("adapted", "single-shot"),
    ("adapted", "response fit"),
    ("adapted", "inverse gamma"),
)
HERE = Path(__file__).parent


class Score(NamedTuple):
    """One number of one photograph."""

    camera: str
    place: str
    system: str
    metric: str
    region: str
    value: float


def main() -> None:
    """Run the study; write ``FAMILY.json`` and ``FAMILY.jpg`` and print the tables."""
    args = _parse()
    torch.set_num_threads(1)
    model = ldr2hdr.load(args.ckpt)
    source = PanoramaSource(cache_dir=args.cache_dir)
    scores: list[Score] = []
    trusts: list[Score] = []
    refused: list[str] = []
    for number in range(args.cameras):
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = _judge_camera(number, model, source, Path(folder), args=args)
                scores += [score for score in found if score.metric not in TRUST]
                trusts += [score for score in found if score.metric in TRUST]
            except RefusedBracket as error:
                refused.append(str(error).replace(folder, ""))
                print(f"camera {number}: refused: {refused[-1]}", flush=True)
        if scores:  # after each camera, so that a run that is cut short leaves what it has
            about = _about(args, model, cameras=number + 1)
            results = _summarise(scores) | {"sigma": _average(trusts), "refused": refused, "about": about}
            (args.out / f"{args.family}.json").write_text(json.dumps(results, indent=1) + "\n")
    _print(results)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ckpt", type=Path, help="checkpoint; the model that ships if not given")
    parser.add_argument("--family", choices=("phone", "pointwise", "dedicated"), default="phone", help="of the cameras")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="of the places")
    parser.add_argument("--cameras", type=int, default=15)
    parser.add_argument("--seed", type=int, default=7000)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--cache-dir", type=Path, default=Path(".cache"))
    return parser.parse_args()


def _judge_camera(
    number: int, model: Model, source: PanoramaSource, folder: Path, *, args: argparse.Namespace
) -> list[Score]:
    """Adapt to a bracket of one test place, convert a photograph of every other one."""
    places = source.places(args.split)
    camera = draw_camera(args.seed + number, family=args.family)
    taught, *shown = (places[(number + step) % len(places)] for step in range(len(places)))
    generator = torch.Generator().manual_seed(args.seed + number)
    bracket = write_bracket(folder / "bracket", camera, _expose(camera, source, taught, generator))
    phi = model.adapt(bracket)
    assert phi.profile.check is not None
    print(f"camera {number}, bracket of {taught}: {phi.profile.check}, {phi.profile.steps} steps", flush=True)
    fit = ResponseFit().adapt(label_bracket(prepare([read_bracket(bracket)])[0]))
    systems = {"inverse gamma": InverseGamma(2.2), "response fit": fit}
    scores = []
    for place in shown:
        exposure = _expose(camera, source, place, generator)
        photo = write_photo(folder / f"{place}.jpg", camera, exposure)
        ldr = read_photo(photo).ldr
        made = {name: system(ldr[None])[0] for name, system in systems.items()}
        made |= {"single-shot": model(photo), "adapted": phi(photo)}
        truth = camera.light(exposure[None])[0]
        scores += [Score(camera.name, place, *score) for score in _score(ldr, truth, made)]
        tones = phi.profile.check.stops[phi.profile.steps]
        for name, network, stops in (
            ("single-shot", model.single_shot(), UNKNOWN_CAMERA_STOPS),
            ("adapted", phi.network, tones),
        ):
            uncertainty = assess_photo(ldr, network, tone_error_stops=stops)
            scores += [
                Score(camera.name, place, name, *score) for score in _judge_sigma(uncertainty, ldr, made[name], truth)
            ]
        if number == 0 and place == shown[0]:
            draw(args.out / f"{args.family}.jpg", Shots(ldr[None], truth[None]), made, taught=taught, place=place)
    return scores


def _expose(camera: DrawnCamera, source: PanoramaSource, place: str, generator: torch.Generator) -> torch.Tensor:
    return camera.expose(source.sample(place, crop_px=SIDE_PX, generator=generator)[None], generator)[0]


def _score(
    ldr: torch.Tensor, truth: torch.Tensor, made: dict[str, torch.Tensor]
) -> Iterator[tuple[str, str, str, float]]:
    """Numbers of each system on one photograph, as it is and with one global scale of its own."""
    regions = find_regions(ldr, truth)._asdict()
    for name, exposure in made.items():
        logs = truth.clamp_min(2.0**-10).log2() - exposure.clamp_min(2.0**-10).log2()
        scaled = exposure * masked_mean(logs, regions["well_exposed"]).exp2()
        shown, fitted = (Display().present(picture, truth) for picture in (exposure, scaled))
        for region in REGIONS:
            mask = regions[region]
            yield name, "pu_psnr", region, pu21_psnr(shown.pred, shown.target, mask).item()
            yield name, "pu_psnr_scaled", region, pu21_psnr(fitted.pred, fitted.target, mask).item()
            yield name, "stops", region, log2_rmse(scaled, truth, mask).item()


def _judge_sigma(
    uncertainty: Uncertainty, ldr: torch.Tensor, exposure: torch.Tensor, truth: torch.Tensor
) -> Iterator[tuple[str, str, float]]:
    """Relate ``sigma`` to the error of each pixel, the root mean square of its channels, one scale left free."""
    regions = find_regions(ldr, truth)._asdict()
    logs = truth.clamp_min(2.0**-10).log2() - exposure.clamp_min(2.0**-10).log2()
    error = (logs - masked_mean(logs, regions["well_exposed"])).square().mean(dim=0).sqrt()
    for region in REGIONS:
        mask = regions[region]
        if int(mask.sum()) < 100:
            continue
        one, other = error[mask], uncertainty.sigma[mask]
        yield "rank_correlation", region, _rank_correlation(one, other)
        yield "within_one_sigma", region, float((one <= other).float().mean())
        yield "within_two_sigma", region, float((one <= 2 * other).float().mean())
        yield "error_over_sigma", region, float((one.square().mean() / other.square().mean()).sqrt())


def _rank_correlation(one: torch.Tensor, other: torch.Tensor) -> float:
    """Spearman's, of values that seldom repeat."""
    ranks = torch.stack([values.argsort().argsort().double() for values in (one, other)])
    return float(torch.corrcoef(ranks)[0, 1])


def _average(scores: list[Score]) -> dict[str, dict[str, list[float | None]]]:
    """Means with 95 % intervals over places, by system, metric and region."""
    groups: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.system, f"{score.metric}/{score.region}"), []).append(score)
    means: dict[str, dict[str, list[float | None]]] = {}
    for (system, column), group in groups.items():
        values, places = torch.tensor([score.value for score in group]), [score.place for score in group]
        interval = bootstrap_mean(values.double(), places, generator=torch.Generator().manual_seed(0))
        means.setdefault(system, {})[column] = _plain(interval)
    return means


def _summarise(scores: list[Score]) -> dict[str, Any]:
    """Means and paired differences with 95 % intervals over places."""
    means, differences = {}, {}
    columns = [(metric, region) for metric in METRICS for region in REGIONS]
    for metric, region in columns:
        found = {name: _pick(scores, name, metric, region) for name in dict.fromkeys(score.system for score in scores)}
        places = [score.place for score in scores if (score.metric, score.region) == (metric, region)]
        places = places[:: len(found)]
        for name, values in found.items():
            interval = bootstrap_mean(values, places, generator=torch.Generator().manual_seed(0))
            means.setdefault(name, {})[f"{metric}/{region}"] = _plain(interval)
        for one, other in PAIRS:
            interval = bootstrap_difference(
                found[one], found[other], places, generator=torch.Generator().manual_seed(0)
            )
            differences.setdefault(f"{one} - {other}", {})[f"{metric}/{region}"] = _plain(interval)
    return {"means": means, "differences": differences, "photographs": len(places)}


def _pick(scores: list[Score], system: str, metric: str, region: str) -> torch.Tensor:
    wanted = (system, metric, region)
    return torch.tensor([score.value for score in scores if score[2:5] == wanted], dtype=torch.float64)


def _plain(interval: Any) -> list[float | None]:
    return [None if math.isnan(value) else round(value, 3) for value in interval[:3]]


def _about(args: argparse.Namespace, model: Model, *, cameras: int) -> dict[str, Any]:
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "model_sha256": model.sha256,
        "is_shipped": args.ckpt is None,
        "family": args.family,
        "cameras": cameras,
        "seed": args.seed,
        "side_px": SIDE_PX,
    }


def _print(results: dict[str, Any]) -> None:
    columns = [f"{metric}/{region}" for metric in METRICS for region in REGIONS]
    print(f"\n{results['photographs']} photographs; {len(results['refused'])} brackets refused; {results['about']}")
    print("| system | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, row in [*results["means"].items(), *results["differences"].items()]:
        cells = [
            f"{mean:.2f} [{low:.2f}, {high:.2f}]" if low is not None else "-"
            for mean, low, high in (row[column] for column in columns)
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(json.dumps(results["sigma"], indent=1))


if __name__ == "__main__":
    main()
