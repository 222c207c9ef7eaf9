"""Exposures in stops, as people type them."""

import argparse
import math
import re


def parse_stops(text: str) -> list[float]:
    """Parse numbers between commas or blanks, fractions of stops too; a typographic minus is one.

    Raises:
        ValueError: If one is no finite number.

    Example:
        >>> parse_stops("-1/2, 0 +.5")
        [-0.5, 0.0, 0.5]
    """
    stops = [_parse(word) for word in text.replace("\N{MINUS SIGN}", "-").replace(",", " ").split()]
    if not all(map(math.isfinite, stops)):
        raise ValueError(f"expected finite numbers, got {text!r}")
    return stops


def _parse(word: str) -> float:
    above, is_fraction, below = word.partition("/")
    divisor = float(below) if is_fraction else 1.0
    return float(above) / divisor if divisor else math.nan


def add_ev_option(parser: argparse.ArgumentParser, *, order: str) -> None:
    """Add ``--ev``.

    Args:
        parser: Of the command.
        order: Order of the photographs, in words.
    """
    parser.add_argument(
        "--ev",
        type=_some_stops,
        metavar="EV,EV,...",
        help=f"stops of the photographs in {order}: --ev -2,0,2 or --ev -2/3,0,2/3",
    )
    # else argparse takes a word that begins with a minus and is no single number for an option
    parser._negative_number_matcher = re.compile(r"-[\d.]")


def _some_stops(text: str) -> list[float]:
    try:
        stops = parse_stops(text)
    except ValueError:
        stops = []
    if not stops:
        raise argparse.ArgumentTypeError(f"expected stops between commas, such as -2,0,2 or -2/3,0,2/3, got {text!r}")
    return stops
