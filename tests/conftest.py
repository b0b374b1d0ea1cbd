import os
from pathlib import Path

import pytest
import torch

if (
    not torch.cuda.is_available()
):  # the Triton kernel then runs in Triton's interpreter, to be chosen before its import
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real data sets (CIFAR Parquet folders, HAM10000); the test is skipped where it is absent."""
    root = Path(os.environ.get("LONGTAIL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"real data sets not found at {root}; set LONGTAIL_DATA")
    return root
