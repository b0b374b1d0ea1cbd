import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image


def _encoded(value: int, kind: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    """A grey image of one value; lossless except as JPEG."""
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.new("RGB", size, (value,) * 3).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    return _encoded


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[Mapping[str, Sequence[int]]], Path]:
    """Make a folder tree: class folder -> grey values of its images."""

    def make(folders: Mapping[str, Sequence[int]]) -> Path:
        root = tmp_path / "images"
        root.mkdir(exist_ok=True)
        for folder, values in folders.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for i, value in enumerate(values):
                (root / folder / f"{i:03}.png").write_bytes(_encoded(value))
        return root

    return make


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    """Write a Parquet file in the layout of the Hugging Face hub."""

    def write(
        file: str,
        images: Sequence[bytes | None],
        columns: Mapping[str, Sequence[Any]],
        names: Mapping[str, Sequence[str]] | None = None,
        image: str | None = "img",
        row_group_size: int = 3,
    ) -> Path:
        root = tmp_path / "parquet"
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        data = {} if image is None else {image: [{"bytes": b, "path": None} for b in images]}
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({name: pa.array(values, type=kind) for name, values in data.items()} | dict(columns))
        features: dict[str, Any] = {} if image is None else {image: {"_type": "Image"}}
        features |= {name: {"names": list(n), "_type": "ClassLabel"} for name, n in (names or {}).items()}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, path, row_group_size=row_group_size)
        return root

    return write


@pytest.fixture
def cifar_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write torchvision's extracted files of a tiny CIFAR, with the checksums out of the way."""
    import pickle

    monkeypatch.setattr(
        "torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).exists()
    )

    def pixels(values: Sequence[int]) -> np.ndarray:
        return np.repeat(np.array(values, dtype=np.uint8)[:, None], 3072, axis=1)

    def write(name: str) -> Path:
        root = tmp_path / "pickles"
        if name == "cifar10":
            folder, classes = root / "cifar-10-batches-py", 10
            files = {f"data_batch_{i}": 20 for i in range(1, 6)} | {"test_batch": 20}
            meta, key, label = "batches.meta", "label_names", "labels"
        else:
            folder, classes = root / "cifar-100-python", 100
            files, meta, key, label = {"train": 300, "test": 100}, "meta", "fine_label_names", "fine_labels"
        folder.mkdir(parents=True)
        for file, count in files.items():
            labels = [i % classes for i in range(count)]
            entry = {"data": pixels(labels), label: labels}
            (folder / file).write_bytes(pickle.dumps(entry))
        (folder / meta).write_bytes(pickle.dumps({key: [f"class {c}" for c in range(classes)]}))
        return root

    return write
