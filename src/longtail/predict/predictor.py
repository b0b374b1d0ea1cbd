"""From images to tables of predictions, whatever it is that answers: a run's network, or an exported file."""

from collections.abc import Generator, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from longtail.data.images import decode_batches
from longtail.data.left_out import Collector
from longtail.data.opening import Encoded
from longtail.engine.decision import Decision
from longtail.engine.several_views import averaged, check_views
from longtail.predict.answering import Answering
from longtail.predict.inputs import named_images
from longtail.predict.named_batches import NamedBatches
from longtail.predict.outcome import Outcome
from longtail.predict.prediction import Prediction, Progress, Say, paths_of
from longtail.predict.predictions_file import PredictionsFile
from longtail.predict.prior import Prior, class_mix
from longtail.predict.sources import ImageSources
from longtail.predict.tables import Part, Tabling, finite, tables_of
from longtail.predict.unreadable import Unreadable, unreadable_error
from longtail.predict.warned import warn_of_left_out, warn_of_repaired, warn_of_unreadable

Parts = Generator[Part, None, None]


class Predictor(Answering):
    """Names what images show."""

    def mix(self, prior: Prior | None) -> dict[str, float] | None:
        """The share of each class that a prior stands for, in the order of `classes`; None for None."""
        if prior is None:
            return None
        shares = class_mix(prior, self.classes, self.class_counts).tolist()
        return dict(zip(self.classes, shares, strict=True))

    def decision(self, prior: Prior | None = None) -> Decision:
        """How logits become probabilities.

        Args:
            prior: the class prior expected in use, see `class_mix`; None leaves predictions as the method gives them.
        """
        shares = self.mix(prior)
        if shares is None:
            return Decision(self.temperature)
        mix = torch.tensor(list(shares.values()), dtype=torch.float64)
        own = self.assumed_log_prior()
        return Decision(self.temperature, (mix.log() - own).float().to(self.device))

    def predict(
        self,
        images: Any,
        *,
        top_k: int = 1,
        prior: Prior | None = None,
        abstain_below: float | None = None,
        views: int = 1,
    ) -> pd.DataFrame:
        """What each image shows.

        Args:
            images: paths of files and folders, or images in memory; see `items_of`. A folder stands for its images in
                sorted order.
            top_k: classes named for each image, >= 1; all of them where there are fewer.
            prior: "uniform", "train", a file or class -> weight: the class prior expected in use.
            abstain_below: leave `label` empty where the confidence is below this, in [0, 1].
            views: how many views of each image are asked about and their probabilities averaged: 1, the image; 2, and
                its mirror image; 5, the image and its corners; 10, these and their mirror images. Mirror images only
                where training showed some.

        Returns:
            One row an image, in the order given, however often it is given: path (`image N` for what lies in memory),
            label, confidence, agreement (share of the experts that choose the best class), expert_1 ... expert_M, then
            label_2, confidence_2, ...; with `abstain_below` also abstained and best_label; with several views
            also views, their number. Probabilities are in [0, 1]
            and calibrated, where the run has a temperature. No image gives no row.

        Raises:
            InputError: something that is no image is given, a folder holds none, or none at all can be read.

        The row of an image that cannot be read has its path alone, and a warning names it. Others name images that
        are damaged beside their pixels and used, and files of a folder that could be images and are left out.
        """
        bad: Unreadable = []
        repaired: Unreadable = []
        beside = Collector()
        named, tabling = named_images(images, beside), self._tabling(top_k, prior, abstain_below, views)
        tables = list(tables_of(tabling, self._infer(named, bad, repaired, views))) or [
            tabling(self._nothing())
        ]
        table = pd.concat(tables, ignore_index=True)
        if bad and len(bad) == len(table):
            raise unreadable_error(bad)
        warn_of_unreadable(bad)
        warn_of_repaired(repaired)
        warn_of_left_out(beside.found())
        return table

    def predict_proba(
        self, images: Any, *, prior: Prior | None = None, views: int = 1
    ) -> Float[np.ndarray, "n c"]:
        """Calibrated probabilities (N, C), a row an image as in `predict`; one that cannot be read is refused."""
        beside = Collector()
        found = self.probabilities(named_images(images, beside), prior=prior, views=views)
        warn_of_left_out(beside.found())
        return found

    def probabilities(
        self, images: Iterable[tuple[str, Encoded]], *, prior: Prior | None = None, views: int = 1
    ) -> Float[np.ndarray, "n c"]:
        """`predict_proba` of named images, in files or in memory."""
        bad: Unreadable = []
        repaired: Unreadable = []
        decision = self.decision(prior)
        with closing(self._infer(images, bad, repaired, views)) as said:
            parts = [finite(decision(part.logits).softmax(dim=-1)).cpu() for part in said]
        if bad:
            raise unreadable_error(bad)
        warn_of_repaired(repaired)
        return torch.cat([self._nothing().logits.cpu(), *parts]).numpy()

    def stream(
        self,
        paths: Iterable[str | Path],
        unreadable: Unreadable,
        repaired: Unreadable,
        *,
        top_k: int = 1,
        prior: Prior | None = None,
        abstain_below: float | None = None,
        views: int = 1,
    ) -> Generator[pd.DataFrame, None, None]:
        """`predict` in pieces, so that any number of images takes the same memory.

        While a piece is computed the images of the next two are read in threads; closing the generator ends them.

        Args:
            paths: image files, taken as they are needed.
            unreadable: filled with (path, reason) of those whose row has their path alone.
            repaired: filled with (path, what was ignored) of those that are damaged beside their pixels.
            top_k: see `predict`, as are the others.
            prior: the class prior.
            abstain_below: least confidence.
            views: of each image.
        """
        tabling = self._tabling(top_k, prior, abstain_below, views)
        named = ((str(path), Path(path)) for path in paths)
        return tables_of(tabling, self._infer(named, unreadable, repaired, views))

    def predict_to(
        self,
        path: str | Path,
        images: Any,
        *,
        top_k: int = 1,
        prior: Prior | None = None,
        abstain_below: float | None = None,
        views: int = 1,
        resume: bool = False,
        overwrite: bool = False,
        strict: bool = False,
    ) -> Outcome | None:
        """`predict` for any number of image files into a file, which has its name once it is complete.

        Args:
            path: the file; Parquet where its name ends in .parquet, CSV for .csv.
            images: paths of files and folders, or `ImageSources`; a folder stands for its images in sorted order.
            top_k, prior, abstain_below, views: see `predict`.
            resume: keep the rows that a stopped call has left in `<path>.partial`, if any.
            overwrite: replace the file where it exists.
            strict: refuse images that cannot be read, and folders with files that could be images and are left out.

        What there is to say of the images goes to the logger `longtail`; the problems among it are warnings, too.

        Returns:
            What became of the images; None where the file was finished before and nothing is left to do.

        Raises:
            InputError: the file exists or cannot be resumed or written, no image is given or can be read, or with
                `strict` not every one.
            KeyboardInterrupt: stopped by the user; the rows stay, and the message says how to resume.
        """
        file = PredictionsFile(Path(path))
        file.check_free(resume=resume, overwrite=overwrite)
        given = images if isinstance(images, ImageSources) else paths_of(images)
        how: dict[str, Any] = {"top_k": top_k, "prior": prior, "abstain_below": abstain_below, "views": views}
        outcome = self.prediction(given, **how, strict=strict).write(file, resume=resume)
        if outcome is not None:
            warn_of_unreadable(outcome.unreadable, listed=f" and {file.unreadable} lists them")
            warn_of_repaired(outcome.repaired)
            warn_of_left_out(outcome.left_out)
        return outcome

    def prediction(
        self,
        images: ImageSources,
        *,
        strict: bool = False,
        say: Say | None = None,
        progress: Progress = lambda _: None,
        **options: Any,
    ) -> Prediction:
        """What `predict_to` writes, to be written or printed with the caller's own lines and progress.

        Args:
            images: paths of files and folders.
            strict: see `predict_to`.
            say: called with each line on the images; without it they are records of the logger `longtail`.
            progress: called with the number of rows that there are, at first with those that are kept.
            options: those of `stream`.

        Raises:
            InputError: with `strict`, folders hold files that could be images and are left out.
        """
        if strict:
            images.check_complete(self.words)
        how = {"top_k": 1, "abstain_below": None, "prior": None, "views": 1} | options

        def settings() -> dict[str, Any]:
            fixed = {"sources": images.fingerprint, "weights": self.fingerprint}
            return how | fixed | {"prior": self.mix(how["prior"])}

        more = {} if say is None else {"say": say}
        return Prediction(images, partial(self.stream, **how), settings, strict, progress=progress, **more)

    def _tabling(self, top_k: int, prior: Prior | None, abstain_below: float | None, views: int) -> Tabling:
        return Tabling(self.classes, self.decision(prior), top_k, abstain_below, views)

    def _nothing(self) -> Part:
        """A part without images."""
        none = torch.empty((self.num_experts, 0, len(self.classes)), device=self.device)
        return Part((), [], none[0], none)

    def _infer(
        self, images: Iterable[tuple[str, Encoded]], unreadable: Unreadable, repaired: Unreadable, views: int
    ) -> Parts:
        """The images in their order, a part at a time; the next two are decoded while one is computed."""
        check_views(views, flips=self.flips)
        named, nothing = NamedBatches(images, unreadable, repaired), self._nothing()
        read = partial(decode_batches, bits=self.bits, framing=self.framing)
        with closing(read(named.encoded(), self.batch_size, self.description["image_size"])) as decoded:
            batches = named.readable(decoded, self.device)
            for _, logits, each in averaged(self.infer, batches, views, self.temperature):
                while not named.waiting[0][1]:
                    yield Part(*named.waiting.popleft(), nothing.logits, nothing.each)
                yield Part(*named.waiting.popleft(), logits, each)
        for part in named.waiting:
            yield Part(*part, nothing.logits, nothing.each)
