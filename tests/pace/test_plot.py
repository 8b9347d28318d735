"""The picture in the documentation is what the simulation gives today."""

from xml.etree import ElementTree

from benchmarks.pace_plot import PAGE, drawn, simulated


def test_the_picture_is_up_to_date() -> None:
    """``python -m benchmarks.pace_plot`` draws it anew."""
    picture = drawn(simulated())
    assert PAGE.read_text(encoding="utf-8") == picture
    assert ElementTree.fromstring(picture).tag.endswith("svg")  # noqa: S314  # made here
