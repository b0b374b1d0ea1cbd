"""Stored features in place of images, for training neck and classifiers on a frozen backbone."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from longtail.augment import Augment
from longtail.augment.random import below, draw_bits
from longtail.features import ImageFeatures
from longtail.models import ExpertModel, FeatureModel, ModelOptions
from longtail.models.feature_model import backbone_dim


class FeatureViews(Augment):
    """An augmentation whose images are rows of stored features: from rows to the features themselves.

    Rows count through the splits, those of training first. A showing in training draws the plain image or one of its K
    augmented views with equal chances, a function of (seed, epoch, view, index) alone; evaluation sees the plain image.

    Args:
        splits: features of the splits, the training split's first.
        device: where the features go; on a CPU they stay in their files, as far as they are not looked at.
        dtype: of what comes out.
    """

    def __init__(self, splits: Sequence[ImageFeatures], device: torch.device, dtype: torch.dtype) -> None:
        self.operations, self.dtype = (), dtype
        first, tables = splits[0], dict[Any, Tensor]()
        for features in splits:  # splits of one setting share a file: the longest mapping of it serves all
            for folder, table in zip(features.folders, features.views, strict=True):
                if folder not in tables or len(table) > len(tables[folder]):
                    tables[folder] = table
        on_device = {folder: table.to(device) for folder, table in tables.items()}
        self._plain = on_device[first.folders[0]]
        self._plain_places = torch.cat([features.places[0] for features in splits]).to(device)
        self._views = [on_device[folder] for folder in first.folders[1:]]
        self._places = [places.to(device) for places in first.places[1:]]

    def normalize(self, image: Int64[Tensor, "b 1 1 1"]) -> Float[Tensor, "b d 1 1"]:
        """The features of the plain images of these rows."""
        return self._plain_of(image.flatten())[:, :, None, None]

    def apply(
        self,
        image: Int64[Tensor, "b 1 1 1"],
        index: Int[Tensor, " b"],
        keys: Int64[Tensor, "2"],
        *,
        cropped: bool = False,
    ) -> Float[Tensor, "b d 1 1"]:
        """The features of a view of each of these rows of the training split; waits for nothing.

        Args:
            image: rows.
            index: (B,) what the draw of each is keyed by.
            keys: (2,) of the pass over the data.
            cropped: of no meaning here.
        """
        rows = image.flatten()
        drawn = below(draw_bits(index.to(rows.device), 1, keys), len(self._views) + 1)
        features = self._plain_of(rows)
        for number, (table, places) in enumerate(zip(self._views, self._places, strict=True), start=1):
            of_view = table.index_select(0, places[rows]).to(self.dtype)
            features = torch.where(drawn == number, of_view, features)
        return features[:, :, None, None]

    def _plain_of(self, rows: Int64[Tensor, " b"]) -> Float[Tensor, "b d"]:
        return self._plain.index_select(0, self._plain_places[rows]).to(self.dtype)


def alone(whole: ExpertModel, options: ModelOptions, banks: Sequence[str]) -> FeatureModel:
    """The neck and the classifiers of a network as a model of their own; the network goes on to hold them."""
    model = FeatureModel(options, backbone_dim(whole), whole.num_classes, banks).to(
        next(whole.parameters()).device
    )
    model.share_with(whole)
    whole.requires_grad_(False)
    model.requires_grad_(True)
    return model
