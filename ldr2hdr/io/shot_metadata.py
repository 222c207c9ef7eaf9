"""Shot metadata in the headers of OpenEXR and Radiance, which have words of their own and no EXIF."""

from typing import Final

from ldr2hdr.io.shot import Shot

_MOST_LETTERS: Final = 120
"""Of a line of Radiance: OpenCV reads pieces of 128 bytes, and fails where one ends with its line."""


def exr_attributes(shot: Shot) -> dict[str, str | float]:
    """Return a shot by OpenEXR's standard names and units, which are those of `Shot`; what is not known is left out.

    References:
        OpenEXR 3.4, "Standard Attributes".
    """
    known = {
        "cameraMake": shot.make,
        "cameraModel": shot.model,
        "lensMake": shot.lens_make,
        "lensModel": shot.lens_model,
        "nominalFocalLength": shot.focal_length_mm,
        "capDate": shot.taken,
        "expTime": shot.exposure_time_s,
        "aperture": shot.f_number,
        "isoSpeed": shot.iso,
        "owner": shot.owner,
    }
    if shot.place is not None:
        place = shot.place
        known |= {"latitude": place.latitude_deg, "longitude": place.longitude_deg, "altitude": place.altitude_m}
    return {name: value for name, value in known.items() if value is not None}


def radiance_lines(shot: Shot) -> list[str]:
    """Return a shot as lines of a Radiance header: date and place by the names it has for them, the rest as comments.

    Not ``EXPOSURE=``, by which readers divide the pixels.

    References:
        G. Ward, Radiance, "picture file format"; the names are those of its common header.
    """
    lens = " ".join(part for part in (shot.lens_make, shot.lens_model) if part)
    settings = {
        "exposure time": _measure(shot.exposure_time_s, "{:.6g} s"),
        "aperture": _measure(shot.f_number, "f/{:.4g}"),
        "ISO": _measure(shot.iso, "{:.6g}"),
        "focal length": _measure(shot.focal_length_mm, "{:.6g} mm"),
    }
    comments = {"camera": shot.camera, "lens": lens, **settings, "owner": shot.owner}
    lines = [f"# {name}: {value}" for name, value in comments.items() if value]
    if shot.taken is not None:
        lines.append(f"CAPDATE= {shot.taken}")
    if shot.place is not None:
        lines.append(f"LATLONG= {shot.place.latitude_deg:.6f} {shot.place.longitude_deg:.6f}")
    return [line[:_MOST_LETTERS] for line in lines]


def _measure(value: float | None, unit: str) -> str | None:
    return None if value is None else unit.format(value)
