"""The choice of settings for a set of images without a recipe: for fine-tuning, from scratch, and on features."""

from longtail.recipe.suggest.features import suggest_features
from longtail.recipe.suggest.settings import suggest_settings
from longtail.recipe.suggest.suggestion import Reasons, Suggestion

__all__ = ["Reasons", "Suggestion", "suggest_features", "suggest_settings"]
