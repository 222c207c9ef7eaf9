"""Every system of conf/systems is named, is built with the defaults of its class, and is called like the others."""

import dataclasses
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ldr2hdr.build import CONF_DIR
from ldr2hdr.evaluation.scoring import AbstractBaseline
from ldr2hdr.tasks import Shots

NAMES = sorted(path.stem for path in (Path(CONF_DIR) / "systems").glob("*.yaml"))
KNOWN = {
    "akyuz2007",
    "bist2017",
    "debevec_malik1997",
    "huo2014",
    "inverse_gamma",
    "inverse_srgb",
    "kovaleski_oliveira2014",
    "kuo2012",
    "landis2002",
    "ldr_input",
    "masia2009",
    "masia2017",
    "mertens2007",
    "response_fit",
    "robertson1999",
}
every_system = pytest.mark.parametrize("name", NAMES)


def load(name):
    return OmegaConf.load(Path(CONF_DIR) / "systems" / f"{name}.yaml")


def bracket():
    """Three exposures of a grey scene by a camera of gamma 2.2, and a fourth."""
    light = torch.exp2(
        torch.linspace(-6, 1, 3 * 12 * 11)[torch.randperm(396, generator=torch.Generator().manual_seed(0))]
    )
    exposure = light.view(3, 12, 11) * torch.exp2(torch.arange(-2.0, 2.0))[:, None, None, None]
    return Shots((exposure.clamp(max=1) ** (1 / 2.2) * 255).round() / 255, exposure)


def test_the_systems_are_those_known():
    assert set(NAMES) == KNOWN


@every_system
def test_it_maps_pictures_to_light(name):
    system, shots = instantiate(load(name)), bracket()
    assert isinstance(system, AbstractBaseline)
    support, query = Shots(shots.ldr[:3], shots.exposure[:3]), shots.ldr[2:]
    exposure = system.adapt(support)(query)
    assert exposure.shape == query.shape
    assert exposure.dtype == query.dtype
    assert exposure.isfinite().all()
    assert (exposure >= 0).all()


@every_system
def test_the_keys_are_the_parameters_with_their_defaults(name):
    node = load(name)
    written = {key: value for key, value in node.items() if key != "_target_"}
    fields = {field.name: field.default for field in dataclasses.fields(instantiate(node))}
    assert written.keys() == fields.keys()
    chosen_here = {"ldr_input": {"gamma": 2.2}}.get(name, {})
    for key, default in fields.items():
        if default is not dataclasses.MISSING:
            assert default == chosen_here.get(key, written[key])


def test_several_are_named_at_once():
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("evaluate", overrides=["ckpt=a.ckpt", f"systems=[{','.join(NAMES)}]"])
    assert list(cfg.systems) == NAMES
    assert {name: dict(cfg.systems[name]) for name in NAMES} == {name: dict(load(name)) for name in NAMES}
