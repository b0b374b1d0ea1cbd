"""The recipe: its files, its schema, and the way from one to the other."""

from typing import TYPE_CHECKING

from longtail.on_demand import on_demand

if TYPE_CHECKING:
    from longtail.recipe.reading import DEFAULT_FOR_IMAGES as DEFAULT_FOR_IMAGES
    from longtail.recipe.reading import as_recorded as as_recorded
    from longtail.recipe.reading import shipped as shipped
    from longtail.recipe.reading import toml_value as toml_value
    from longtail.recipe.schema import FINE_TUNING as FINE_TUNING
    from longtail.recipe.schema import Recipe as Recipe
    from longtail.recipe.schema import changed as changed
    from longtail.recipe.schema import difference as difference
    from longtail.recipe.schema import load_recipe as load_recipe
    from longtail.recipe.schema import read_again as read_again
    from longtail.recipe.schema import scaled as scaled
    from longtail.recipe.schema import validate as validate
else:
    __getattr__ = on_demand(
        __name__,
        {
            "DEFAULT_FOR_IMAGES": "longtail.recipe.reading",
            "FINE_TUNING": "longtail.recipe.schema",
            "Recipe": "longtail.recipe.schema",
            "as_recorded": "longtail.recipe.reading",
            "changed": "longtail.recipe.schema",
            "difference": "longtail.recipe.schema",
            "load_recipe": "longtail.recipe.schema",
            "read_again": "longtail.recipe.schema",
            "scaled": "longtail.recipe.schema",
            "shipped": "longtail.recipe.reading",
            "toml_value": "longtail.recipe.reading",
            "validate": "longtail.recipe.schema",
        },
    )

__all__ = [
    "DEFAULT_FOR_IMAGES",
    "FINE_TUNING",
    "Recipe",
    "as_recorded",
    "changed",
    "difference",
    "load_recipe",
    "read_again",
    "scaled",
    "shipped",
    "toml_value",
    "validate",
]
