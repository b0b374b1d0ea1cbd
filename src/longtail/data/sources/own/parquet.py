"""Parquet files in the layout of the Hugging Face hub, see `longtail.data.parquet_set`."""

from longtail.data.parquet_set import read_parquet
from longtail.data.shards import parquet_files
from longtail.data.source_form import SourceForm

FORM = SourceForm(
    "Parquet files as on the Hugging Face hub: --data PATH with train-*.parquet",
    lambda place: read_parquet(place.given),
    reads=lambda path: bool(parquet_files(path)),
    rank=3,
)
