"""Hypothesis on a machine that is shared: no deadline for one example, and no complaint about slow ones."""

from hypothesis import HealthCheck, settings

settings.register_profile("kafold", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kafold")
