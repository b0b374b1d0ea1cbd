"""CIFAR-10 (Krizhevsky, 2009)."""

from longtail.data.cifar import read_cifar
from longtail.data.source_form import SourceForm

FORM = SourceForm(
    "CIFAR-10, 32x32 pixels, 10 classes; downloaded, or --data with Parquet or pickle files",
    lambda place: read_cifar("cifar10", place.path),
    needs_path=False,
)
