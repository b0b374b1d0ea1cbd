"""Reads tensors by name from files of others, without running code in them."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from longtail.machine import pass_on
from longtail.records import short
from longtail.types import InputError

WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema")
PREFIXES = ("module.", "_orig_mod.")  # of torch's wrappers around a network
State = dict[str, Tensor]
_GIVE = "give a .safetensors file or a state dict saved by torch.save"


def read_weights(path: Path) -> State:
    """The tensors of a safetensors file or of a pickled state dict, which is read without running code.

    Raises:
        InputError: no such file, nothing that can be read safely, no state dict, or numbers that are not finite.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path} with weights; give a .safetensors file or a state dict")
    if path.suffix == ".safetensors":
        try:
            found: Any = safetensors.torch.load_file(path)
        except Exception as error:
            pass_on(error)
            raise InputError(f"cannot read weights from {path} ({short(error)}); {_GIVE}") from None
    else:
        found = _unpickled(path)
    found = _unwrapped(found)
    if not _has_tensors(found):
        raise InputError(f"{path} holds no state dict{_what(found)}; {_save(path)}")
    named = [
        (_own_name(str(key)), value.detach()) for key, value in found.items() if isinstance(value, Tensor)
    ]
    state = dict(named)
    if len(state) < len(named):
        raise InputError(f"{path} names a tensor twice, with and without {PREFIXES[0]!r}; {_save(path)}")
    for name, tensor in state.items():
        _check(name, tensor, path)
    return state


def _unpickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is not read is refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        pass_on(error)
        kinds = _refused_kinds(path, str(error))
        if kinds:
            raise InputError(
                f"{path} keeps more than tensors ({', '.join(kinds)}), and loading that could run code; {_save(path)}"
            ) from None
        raise InputError(f"cannot read weights from {path} ({_reason(error)}); {_GIVE}") from None


def _refused_kinds(path: Path, said: str) -> list[str]:
    """The classes and functions in a pickled file that torch does not load."""
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # of the format before zip files, or none at all
        found = re.findall(r"Unsupported \w+: GLOBAL ([\w.]+)", said)
    shown = [short(ValueError(name)) for name in dict.fromkeys(found)]
    return [*shown[:3], *([f"{len(shown) - 3} more"] if len(shown) > 3 else [])]


def _reason(error: Exception) -> str:
    said = str(error)
    if "TorchScript" in said:
        return "it is a TorchScript program"
    if "legacy .tar" in said:
        return "it is in the format of PyTorch before 0.4"
    inner = re.search(r"WeightsUnpickler error: *(.+)", said)
    return short(ValueError(inner[1]) if inner else error, 120)


def _save(path: Path) -> str:
    return (
        f"if you trust it, open {path.name} in Python with torch.load and weights_only=False, and save its weights "
        "alone: torch.save(opened['state_dict'], 'weights.pt'), with the key that they lie under, or "
        "torch.save(opened.state_dict(), 'weights.pt') for a module"
    )


def _unwrapped(found: Any) -> Any:
    for _ in WRAPPERS:  # a file may hold itself
        inside = [
            found[key]
            for key in WRAPPERS
            if isinstance(found, Mapping) and isinstance(found.get(key), Mapping)
        ]
        found = inside[0] if inside else found
    return found


def _has_tensors(found: object) -> bool:
    return isinstance(found, Mapping) and any(isinstance(value, Tensor) for value in found.values())


def _what(found: object) -> str:
    """What a file has in place of one."""
    if not isinstance(found, Mapping):
        return f" but {type(found).__name__}"
    inside = [short(key) for key, value in found.items() if _has_tensors(value)]
    if inside:
        return f" at its top or under {', '.join(WRAPPERS)}, but tensors under {', '.join(inside[:5])}"
    return "" if not found else f" but no tensor among its {len(found):,}, such as {short(next(iter(found)))}"


def _own_name(key: str) -> str:
    while key.startswith(PREFIXES):
        key = key.partition(".")[2]
    return key


def _check(name: str, tensor: Tensor, path: Path) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_complex():
        raise InputError(
            f"{path}: {short(name)} is sparse, quantized or complex; give weights of plain numbers"
        )
    if not tensor.isfinite().all():
        raise InputError(
            f"{path}: {short(name)} has numbers that are not finite; give weights of finite numbers"
        )
