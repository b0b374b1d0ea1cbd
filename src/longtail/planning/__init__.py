"""What a command means before anything runs: the resolved recipe, what to tell about it, and the run folder."""

from longtail.planning.command import Plan, given_keys, plan, prepare, summary
from longtail.planning.several import plan_seeds

__all__ = ["Plan", "given_keys", "plan", "plan_seeds", "prepare", "summary"]
