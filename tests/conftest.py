"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# Tests run side by side: how long an example takes says nothing.
settings.register_profile("closeout", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("closeout")
