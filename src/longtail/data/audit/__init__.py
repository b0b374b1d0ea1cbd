"""What is wrong with a set of images, told before anything is trained on it."""

from longtail.data.audit.check import check
from longtail.data.audit.findings import ENOUGH, Audit, Duplicates, LeakingGroup
from longtail.data.audit.loaded import audit_loaded

__all__ = ["ENOUGH", "Audit", "Duplicates", "LeakingGroup", "audit_loaded", "check"]
