"""Networks with M experts, which all return a `ModelOutput` with (M, B, ...); they know no loss."""

from typing import TYPE_CHECKING

from longtail.on_demand import on_demand

if TYPE_CHECKING:
    from longtail.models.build import build_model as build_model
    from longtail.models.build import count_parameters as count_parameters
    from longtail.models.experts import ExpertModel as ExpertModel
    from longtail.models.feature_model import FeatureModel as FeatureModel
    from longtail.models.layers import ExpertHeads as ExpertHeads
    from longtail.models.layers import fold_batch_norm as fold_batch_norm
    from longtail.models.map_size import FOR_SMALL_IMAGES as FOR_SMALL_IMAGES
    from longtail.models.options import ModelOptions as ModelOptions
    from longtail.models.resnet import RESNETS as RESNETS
    from longtail.models.resnet import ExpertResNet as ExpertResNet
else:
    __getattr__ = on_demand(
        __name__,
        {
            "ExpertHeads": "longtail.models.layers",
            "ExpertModel": "longtail.models.experts",
            "ExpertResNet": "longtail.models.resnet",
            "FOR_SMALL_IMAGES": "longtail.models.map_size",
            "FeatureModel": "longtail.models.feature_model",
            "ModelOptions": "longtail.models.options",
            "RESNETS": "longtail.models.resnet",
            "build_model": "longtail.models.build",
            "count_parameters": "longtail.models.build",
            "fold_batch_norm": "longtail.models.layers",
        },
    )

__all__ = [
    "FOR_SMALL_IMAGES",
    "RESNETS",
    "ExpertHeads",
    "ExpertModel",
    "ExpertResNet",
    "FeatureModel",
    "ModelOptions",
    "build_model",
    "count_parameters",
    "fold_batch_norm",
]
