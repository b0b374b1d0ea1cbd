"""CIFAR-100 (Krizhevsky, 2009)."""

from longtail.data.cifar import read_cifar
from longtail.data.source_form import SourceForm

FORM = SourceForm(
    "CIFAR-100, 32x32 pixels, 100 classes; downloaded, or --data as for cifar10",
    lambda place: read_cifar("cifar100", place.path),
    needs_path=False,
)
