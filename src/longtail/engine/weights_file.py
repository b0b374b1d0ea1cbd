"""Weights as the bytes of a safetensors file: tensors, description, a digest of both, and the format version."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from longtail.runs.layout import WEIGHTS_VERSION

DESCRIPTION, DIGEST, VERSION = "longtail", "sha256", "format_version"


def pack_weights(tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> bytes:
    """A safetensors file, the same bytes for the same content.

    Args:
        tensors: contiguous, on any device.
        description: what rebuilds the network; whatever JSON can hold.
    """
    said = json.dumps(description)
    metadata = {DESCRIPTION: said, DIGEST: digest(said, tensors), VERSION: str(WEIGHTS_VERSION)}
    return _in_order(safetensors.torch.save(dict(tensors), metadata=metadata))


def _in_order(data: bytes) -> bytes:
    """The same file with its metadata in one order; safetensors writes them in any, other in each call."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


def digest(said: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) of the description and of the names, types, shapes and numbers of the tensors."""
    found = hashlib.sha256(said.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
