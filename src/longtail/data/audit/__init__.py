"""Audit of a set of images before training: what would make a score wrong."""

from longtail.data.audit.check import check
from longtail.data.audit.findings import Audit, LeakingGroup
from longtail.data.audit.loaded import audit_loaded
from longtail.data.copies import Duplicates

__all__ = ["Audit", "Duplicates", "LeakingGroup", "audit_loaded", "check"]
