"""Settings as a report shows them: every number with its unit."""

from types import UnionType
from typing import get_args

import pytest

from closeout.worker.config.settings import DURATIONS, RATES, SHARES, Settings
from closeout.worker.report.run_facts import settings_facts

NUMBERS = sorted(
    name
    for name, field in Settings.model_fields.items()
    if float in (get_args(field.annotation) if isinstance(field.annotation, UnionType) else (field.annotation,))
)


def test_each_number_is_known_for_what_it_is() -> None:
    """A new setting that is no whole number is a duration, a rate or a share."""
    assert sorted((*DURATIONS, *RATES, *SHARES)) == NUMBERS


@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_is_shown_bare(name: str) -> None:
    """Such as ``dedupe-for 86400.0``."""
    settings = Settings.model_validate({name: 1.0})
    shown = dict(settings_facts(settings))[name.replace("_", "-")]
    assert shown == ("1.0 s" if name in DURATIONS else "1/s" if name in RATES else "100%")
