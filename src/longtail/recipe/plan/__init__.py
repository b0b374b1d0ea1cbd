"""What a command means before anything runs: the resolved recipe, what to tell about it, and the run folder."""

from longtail.recipe.plan.command import Plan, given_keys, plan, prepare, summary
from longtail.recipe.plan.several import SeedsPlan, plan_seeds

__all__ = ["Plan", "SeedsPlan", "given_keys", "plan", "plan_seeds", "prepare", "summary"]
