"""`LongTailClassifier`: training and prediction in the form of scikit-learn."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from longtail.api import train
from longtail.estimator.kept_run import KeptRun
from longtail.estimator.pictures import Pictures, as_pictures, class_names, remove_pictures, write_pictures
from longtail.predict import Classifier, items_of, named_image, unreadable_warning
from longtail.runs import Run, layout
from longtail.runs.folder import RunFolder
from longtail.types import InputError


class LongTailClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of images after the manner of scikit-learn: `fit`, `predict`, `predict_proba`, `score`.

    Images are N paths, or N uint8 arrays (N, H, W, 3) or, grey, (N, H, W); to predict, also whatever else
    `longtail.load(run).predict` takes, of which an array (H, W, 3) is one image. `fit` writes them down as a set,
    trains as `longtail.train` does, and so ends in the weights that the command line ends in with the same settings.
    A pickle holds the weights, not the images.

    Args:
        method: as of `longtail methods`. None: the one that suits the images.
        model: as of `longtail models`. None: the one that suits the images.
        epochs: passes over the images, >= 1. None: chosen from their number.
        image_size: side in pixels to which images are brought. None: chosen from the images.
        validation_fraction: share of each class, in [0, 1), that is held out to evaluate on and to make confidences
            honest; 0 trains on all.
        settings: further keys of the recipe, "section.key" -> value.
        random_state: an int is the run's seed; a RandomState or None draws one.
        device: "auto", "cpu" or "cuda".
        out: run folder to keep, new or empty; the set is written beside it, `<out>-images.csv` or `<out>-images/`.
            None: a temporary folder, removed with the estimator. Leave it out in searches and cross-validation.
        verbose: show progress.

    Attributes:
        classes_: (C,) distinct labels in order, of the type they were given in.
        run_: the run, as `longtail.train` returns it.
        classifier_: the network, as `longtail.load` returns it, for experts' votes and a class prior.
    """

    def __init__(
        self,
        method: str | None = None,
        model: str | None = None,
        epochs: int | None = None,
        *,
        image_size: int | None = None,
        validation_fraction: float = 0.2,
        settings: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "auto",
        out: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.method = method
        self.model = model
        self.epochs = epochs
        self.image_size = image_size
        self.validation_fraction = validation_fraction
        self.settings = settings
        self.random_state = random_state
        self.device = device
        self.out = out
        self.verbose = verbose

    def fit(self, X: Any, y: Any, groups: Sequence[Any] | None = None) -> "LongTailClassifier":
        """Train.

        Args:
            X: N images, see above. A path that is given again counts once, with a warning; pixels count each time.
            y: (N,) labels of any one type.
            groups: (N,) names of what belongs together (a camera, a patient): a group is held out whole or not at all;
                None or NaN for an image by itself.

        Raises:
            InputError: something given cannot be used.

        Images that cannot be read are left out and named in a warning.
        """
        pictures, labels = as_pictures(X), _labels(y)
        check_consistent_length(pictures, labels, groups)
        _warn_of_repeated(pictures)
        known, position = np.unique(labels, return_inverse=True)
        names = class_names(known)
        if len(names) < 2:
            raise InputError(
                f"y holds 1 class, {names[0]!r}; training needs two: give images of another class"
            )
        kept = KeptRun.in_temporary() if self.out is None else KeptRun(Path(self.out))
        self._train(kept.path, pictures, [names[c] for c in position], _group_names(groups))
        trained = {entry["name"] for entry in Run(kept.path).classes}
        self._kept = kept
        self.classes_ = known[[name in trained for name in names]]
        self._warn_of_unreadable()
        return self

    def predict_proba(self, X: Any) -> Float32[np.ndarray, "n c"]:
        """Calibrated probabilities of each image, a column for each of `classes_`.

        Raises:
            InputError: an image cannot be read, or X is no images.
        """
        check_is_fitted(self)
        classifier, items = self.classifier_, items_of(X)
        if not items:
            raise InputError("X has 0 images; give at least one")
        found = classifier.probabilities(named_image(place, item) for place, item in enumerate(items))
        return found[:, [classifier.classes.index(name) for name in class_names(self.classes_)]]

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of each image, of the type that `fit` was given.

        Raises:
            InputError: an image cannot be read, or X is no images.
        """
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    @property
    def run_(self) -> Run:
        check_is_fitted(self)
        return Run(self._kept.path)

    @property
    def classifier_(self) -> Classifier:
        check_is_fitted(self)
        return self._kept.classifier(self.device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.string = tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def _train(self, out: Path, pictures: Pictures, names: list[str], groups: list[str] | None) -> None:
        """Write the set beside `out` and train; a set of which no run has come goes again."""
        RunFolder(out).check_free()
        place = out.resolve()  # "." has no name
        images = write_pictures(place.with_name(f"{place.name}-images"), pictures, names, groups)
        try:
            train(
                images, method=self.method, model=self.model, epochs=self.epochs, seed=self._seed(), out=out,
                set=self._given(), quiet=not self.verbose,
            )  # fmt: skip
        except KeyboardInterrupt:
            if self.out is None:
                raise KeyboardInterrupt("interrupted; give `out` to have a run that can be resumed") from None
            raise
        finally:
            if not (out / layout.RECIPE).is_file():
                remove_pictures(images)

    def _seed(self) -> Any:
        """The run's seed; what is none is refused where the recipe is."""
        given: Any = self.random_state
        if given is None or isinstance(given, np.random.RandomState):
            return int(check_random_state(given).randint(2**31))
        return int(given) if isinstance(given, np.integer) else given

    def _given(self) -> dict[str, Any]:
        """The keys of the recipe that were asked for."""
        named: dict[str, Any] = {"data.validation": self.validation_fraction, "run.device": self.device}
        if self.image_size is not None:
            named["data.image_size"] = self.image_size
        return named | dict(self.settings or {})

    def _warn_of_unreadable(self) -> None:
        audit = self.run_.read(layout.AUDIT)
        bad = [] if audit is None else [(one.path, one.reason) for one in audit.unreadable]
        if bad:
            warnings.warn(unreadable_warning(bad, "left out of training"), stacklevel=3)


def _warn_of_repeated(pictures: Pictures) -> None:
    repeated = len(pictures) - len(set(pictures)) if isinstance(pictures, list) else 0
    if repeated:
        warnings.warn(
            f"{repeated:,} of {len(pictures):,} paths are given again and count once; give pixels to have them count "
            "each time",
            stacklevel=3,
        )


def _labels(y: Any) -> NDArray[Any]:
    if y is None:
        raise InputError("fit requires y to be passed, but the target y is None; give a label for each image")
    labels = column_or_1d(y, warn=True)
    try:
        check_classification_targets(labels)
        np.unique(labels)
    except TypeError:
        raise InputError("y holds labels of different types; give all of them as one, such as text") from None
    return np.asarray(labels)


def _group_names(groups: Sequence[Any] | None) -> list[str] | None:
    """The name of each image's group; "" where it has none."""
    return None if groups is None else [_group_name(one) for one in np.asarray(groups, object).tolist()]


def _group_name(group: Any) -> str:
    return "" if pd.isna(group) else str(group)
