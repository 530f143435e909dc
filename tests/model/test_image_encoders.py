"""Image encoders of other libraries: their own numbers, every use of a trunk, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import image_encoders as encoders
import pytest
import torch
from perturbing import perturbed
from safetensors.torch import load_file, save_file

from timnet import checkpoints, config
from timnet.checkpoints import ClassifierSpec, TimnetSpec
from timnet.cohorts import store
from timnet.errors import TimnetError
from timnet.evaluation.maps import cam
from timnet.model import encoder_folders, initialisation, onnx_export, weights
from timnet.reader import Reader
from timnet.training import grids, in_process, loop, run_results, worker
from timnet.training.recipes import finetune

ALL = [*encoders.HUGGING, *encoders.TIMM]


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Return a folder of each kind's network and what its own library loads of it, saved when asked for."""
    root, made = tmp_path_factory.mktemp("encoders"), {}

    def folder(kind):
        if kind not in made:
            made[kind] = root / kind.replace(" ", "-"), encoders.saved(kind, root / kind.replace(" ", "-"))
        return made[kind]

    return folder


def loaded(folder):
    network = initialisation.network_of(str(folder), "resnet18", "film")
    trunk = weights.build_trunk(network).eval()
    told = initialisation.initialise(trunk, str(folder), network.backbone)
    assert told.missing == ()
    return trunk, network


def films(side):
    return torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(0))


def own(reference, kind, x_B1SS):
    """Return the grid (B, C, h, w) as the library computes it, of three channels normalised by hand."""
    mean, std = (torch.tensor(encoders.SEEN[name])[:, None, None] for name in ("image_mean", "image_std"))
    x = (x_B1SS.expand(-1, 3, -1, -1) - mean) / std
    rows = x_B1SS.shape[-1] // (16 if kind.startswith("timm") else encoders.SHAPE["patch_size"])
    if kind.startswith("timm"):
        features = reference.forward_features(x)
        if features.ndim == 4:
            return features.permute(0, 3, 1, 2) if kind == "timm swin" else features
    else:
        more = {} if kind.startswith("dinov2") else {"interpolate_pos_encoding": True}
        features = reference(pixel_values=x, **more).last_hidden_state
    # Tokens of patches come last in all of them, row by row.
    tokens = features[:, -rows * rows :]
    return torch.stack([tokens[:, i * rows : (i + 1) * rows] for i in range(rows)], 1).permute(0, 3, 1, 2)


@pytest.mark.parametrize("kind", ALL)
def test_a_trunk_gives_the_librarys_own_grid_of_a_folder(kind, folders):
    folder, reference = folders(kind)
    trunk, network = loaded(folder)
    side = 64 if kind.startswith("timm") else 56
    assert network.image_encoder.side == side
    with torch.inference_mode():
        found, expected = trunk(films(side)), own(reference, kind, films(side))
    assert found.shape == (2, trunk.channels, *expected.shape[2:])
    torch.testing.assert_close(found, expected)
    assert found.std() > 1e-3


@pytest.mark.parametrize("kind", [*encoders.HUGGING, "timm resnet"])
def test_positions_are_interpolated_at_another_side(kind, folders):
    folder, reference = folders(kind)
    side = 96 if kind.startswith("timm") else 84
    trunk, _ = loaded(folder)
    with torch.inference_mode():
        torch.testing.assert_close(trunk(films(side)), own(reference, kind, films(side)))


def test_timms_positions_are_interpolated_as_timm_does(folders):
    timm = pytest.importorskip("timm")
    folder, _ = folders("timm vit")
    reference = timm.create_model(f"local-dir:{folder}", pretrained=True, dynamic_img_size=True).eval()
    with torch.inference_mode():
        torch.testing.assert_close(loaded(folder)[0](films(96)), own(reference, "timm vit", films(96)))


def test_a_side_that_cuts_patches_is_refused(folders):
    folder, _ = folders("dinov2")
    with pytest.raises(TimnetError, match="expected a multiple of its patches' 14 pixels, got 64"):
        initialisation.check(str(folder), "resnet18", "film", 64)


@pytest.mark.parametrize(
    ("told", "mean", "std"),
    [
        ({"image_mean": [0.5] * 3, "image_std": [0.2] * 3}, 0.5, 0.2),
        ({"image_mean": [0.5] * 3, "image_std": [0.2] * 3, "do_normalize": False}, 0, 1),
        # Greys are left at 0 to 255, or go to 0 to 2.
        ({"image_mean": [100.0] * 3, "image_std": [50.0] * 3, "do_rescale": False}, 100 / 255, 50 / 255),
        ({"image_mean": [1.0] * 3, "image_std": [1.0] * 3, "rescale_factor": 2 / 255}, 0.5, 0.5),
        ({"image_processor": {"image_mean": [0.1] * 3, "image_std": [0.2] * 3}}, 0.1, 0.2),
    ],
)
def test_greys_are_normalised_as_the_preprocessor_says(told, mean, std, folders, tmp_path):
    shutil.copytree(folders("vit")[0], tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(told))
    made = encoder_folders.of_folder(tmp_path / "vit")
    assert made.mean == pytest.approx([mean] * 3)
    assert made.std == pytest.approx([std] * 3)


def test_a_network_of_one_channel_sees_one(tmp_path):
    from transformers import ViTConfig, ViTModel

    ViTModel(ViTConfig(**encoders.SHAPE, intermediate_size=48, num_channels=1)).save_pretrained(
        tmp_path / "one"
    )
    trunk, network = loaded(tmp_path / "one")
    assert network.image_encoder.mean == (0.5,)
    assert trunk(films(56)).shape == (2, 24, 4, 4)


@pytest.mark.parametrize("kind", ALL)
def test_the_last_layers_are_a_part_that_no_early_layer_is_in(kind, folders):
    trunk, _ = loaded(folders(kind)[0])
    for part in trunk.early():
        part.requires_grad_(False)
    names = {name for name, value in trunk.named_parameters() if value.requires_grad}
    first = next(iter(dict(trunk.named_parameters())))
    assert names and first not in names and not any("embed" in name or "stem" in name for name in names)
    kept = {
        "timm resnet": "layer4",
        "timm swin": "layers.3",
        "timm convnext": "stages.3",
        "timm vit": "blocks.3",
    }
    block = kept.get(kind, ".3.")
    inside = {name for name in names if block in name}
    assert inside == {name for name, _ in trunk.named_parameters() if block in name}
    assert all("norm" in name for name in names - inside)


@pytest.mark.parametrize("kind", ["dinov2", "clip", "timm vit", "timm resnet"])
def test_recomputed_blocks_give_the_same_gradients(kind, folders):
    gradients, means = [], []
    for recompute in (False, True):
        trunk = loaded(folders(kind)[0])[0].train()
        trunk.recompute = recompute
        trunk(films(trunk.encoder.side)).square().mean().backward()
        gradients.append({key: each.grad for key, each in trunk.named_parameters() if each.requires_grad})
        means.append({key: value for key, value in trunk.state_dict().items() if "running" in key})
    assert all(each is not None for each in gradients[0].values())
    for key, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], value)
    for key, value in means[0].items():
        torch.testing.assert_close(means[1][key], value)


@pytest.mark.parametrize("kind", ["dinov2_with_registers", "siglip", "timm vit", "timm resnet"])
def test_a_start_of_ones_own_is_trained_resumed_read_and_mapped_without_its_folder(
    kind, folders, cohort_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("TIMNET_SNAPSHOT_SECONDS", "0")
    monkeypatch.setattr(loop, "TELL_SECONDS", 0)
    start = tmp_path / "start"
    shutil.copytree(folders(kind)[0], start)
    side = 64 if kind.startswith("timm") else 56
    shared = config.Finetune(
        cohort=str(cohort_folder), task="Opacity", backbone=str(start), mode="last-layers", side=side,
        width=8, epochs=2, batch=8, fraction=0.2, precision="fp32", looks=0,
    )  # fmt: skip
    # A folder as the backbone comes with its weights, and is called what it is.
    assert shared.initialisation == str(start)

    def stopping(event):
        if event["event"] == "step":
            worker.cancel(tmp_path / "runs" / "stopped")

    for name, listen, ends in (
        ("whole", None, "done"),
        ("stopped", stopping, "cancelled"),
        ("stopped", None, "done"),
    ):
        worker.prepare(shared, tmp_path / "runs" / name)
        assert worker.work(tmp_path / "runs" / name, finetune.train, listen).name == ends
    whole, resumed = (weights.tensors(tmp_path / "runs" / name) for name in ("whole", "stopped"))
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())
    reference = loaded(start)[0].state_dict()
    first = next(iter(reference))
    torch.testing.assert_close(whole[f"trunk.{first}"], reference[first].half().float())
    assert set(run_results.points(tmp_path / "runs")["initialisation"]) == {"start"}

    grid_of = grids.Grid(replace(shared, backbone="resnet18", mode="probe"), ("base", str(start)), (0.2,), 1)
    assert not grids.complete(grid_of.settings(), tmp_path / "grid", finetune.train)
    assert set(run_results.points(tmp_path / "grid")["initialisation"]) == {"base", "start"}

    shutil.rmtree(start)
    network, spec = weights.load_classifier(tmp_path / "runs" / "whole")
    assert spec.image_encoder == checkpoints.describe(tmp_path / "runs" / "stopped").image_encoder
    with torch.inference_mode():
        grid = network.grid(films(side)).clone()
    logits, maps = cam.evidence(grid, network.head)
    pooled = grid.mean((2, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(network.head(pooled).sum(), pooled)
    torch.testing.assert_close(maps.mean((2, 3))[:, 0], (gradient * pooled).sum(1))
    torch.testing.assert_close(logits, network(films(side)))
    cohort = store.Cohort.open(cohort_folder)
    reading = Reader.load(tmp_path / "runs" / "whole").read(cohort.read_film(0))
    assert reading.maps["Opacity"].shape == grid.shape[2:]


def test_a_pre_training_on_a_folder_keeps_its_network_in_the_checkpoint(
    folders, cohort_folder, tiny_bert, tmp_path
):
    start = tmp_path / "rad-dino"
    shutil.copytree(folders("dinov2")[0], start)
    settings = config.Pretrain(
        cohorts=(str(cohort_folder),), backbone=str(start), side=56, width=8, epochs=1, batch=8,
        text_encoder=str(tiny_bert), tokens=48, evaluate_every=0, precision="fp32", recompute=True,
        learning_rate=1e-6, augment=False,
    )  # fmt: skip
    in_process.pretrain(settings, tmp_path / "timnet")
    expected = loaded(start)[0]
    shutil.rmtree(start)
    timnet, spec, _ = weights.load_timnet(tmp_path / "timnet")
    assert (spec.backbone, spec.normalisation, spec.image_encoder.config["model_type"]) == (
        "rad-dino", "own", "dinov2",
    )  # fmt: skip
    with torch.inference_mode():
        torch.testing.assert_close(timnet.image.trunk(films(56)), expected(films(56)), atol=0.02, rtol=0.02)
    # It starts others: a classifier takes its network with its trunk.
    again = initialisation.network_of(str(tmp_path / "timnet"), "resnet18", "film")
    trunk = weights.build_trunk(again)
    assert initialisation.initialise(trunk, str(tmp_path / "timnet"), again.backbone).missing == ()
    torch.testing.assert_close(trunk.state_dict(), timnet.image.trunk.state_dict())


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["dinov2", "clip", "siglip", "timm vit", "timm resnet"])
def test_a_network_is_exported_at_its_own_and_at_another_side(kind, folders, tmp_path):
    pytest.importorskip("onnxruntime")
    _, network = loaded(folders(kind)[0])
    for side in (112, 56) if not kind.startswith("timm") else (64,):
        spec = ClassifierSpec(
            backbone=network.backbone, side=side, width=8, normalisation=network.normalisation, task="t",
            labels=("t",), image_encoder=network.image_encoder,
        )  # fmt: skip
        made = perturbed(weights.build_classifier(spec, 0))
        weights.save_checkpoint(tmp_path / "net", made, spec)
        told = onnx_export.export(tmp_path / "net", tmp_path / "onnx")
        assert max(told.values()) <= onnx_export.TOLERANCE


def test_a_name_of_timm_is_a_backbone_with_random_weights():
    pytest.importorskip("timm")
    network = initialisation.network_of("base", "convnext_atto", "film")
    assert network.image_encoder.library == "timm"
    assert weights.build_trunk(network)(films(64)).shape == (2, 320, 2, 2)
    with pytest.raises(TimnetError, match="imagenet: expected a network of torchvision, got convnext_atto"):
        initialisation.initialise(weights.build_trunk(network), "imagenet", "convnext_atto")


def text_model(folder, networks):
    shutil.rmtree(folder)
    shutil.copytree(config.TEXT_ENCODER, folder)


def empty(folder, networks):
    shutil.rmtree(folder)
    folder.mkdir()


def no_weights(folder, networks):
    (folder / "model.safetensors").unlink()


def pickled(folder, networks):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def truncated(folder, networks):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:999])


def a_layer_missing(folder, networks):
    state = load_file(folder / "model.safetensors")
    state.pop(next(key for key in state if "layer.1." in key))
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def other_sizes(folder, networks):
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"hidden_size": 32}))


def too_large(folder, networks):
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(told | {"hidden_size": 10**7}))


def no_json(folder, networks):
    (folder / "config.json").write_text("{")


def unknown_of_timm(folder, networks):
    (folder / "config.json").write_text('{"architecture": "local-dir:/etc"}')


def a_file_for_timm(folder, networks):
    told = {"architecture": "resnet10t", "model_args": {"checkpoint_path": "/tmp/weights.pth"}}
    (folder / "config.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (text_model, "expected an image encoder .*got 'bert'"),
        (empty, "expected an image encoder's config.json and model.safetensors, found no config.json"),
        (no_weights, "expected weights in model.safetensors, found config.json"),
        (pickled, "expected weights in model.safetensors, found config.json, .*pytorch_model.bin"),
        (truncated, "its weights cannot be read"),
        (a_layer_missing, "expected the weights of every layer that config.json names, .* is missing"),
        (other_sizes, "its weights cannot be read|is missing or of another shape"),
        (too_large, "hidden_size: expected 0 to 8192, got 10000000"),
        (no_json, "wrong/config.json: Invalid JSON|wrong/config.json: expected JSON"),
        (unknown_of_timm, "wrong: expected a network of timm|expected the package timm"),
        (a_file_for_timm, "wrong: expected a network of timm|expected the package timm"),
    ],
)
def test_a_wrong_folder_is_refused_in_one_sentence(spoil, sentence, folders, networks, tmp_path):
    folder = tmp_path / "wrong"
    shutil.copytree(folders("dinov2")[0], folder)
    spoil(folder, networks)
    with pytest.raises(TimnetError, match=sentence) as refused:
        initialisation.check(str(folder), "resnet18", "film", 56)
    assert "\n" not in str(refused.value)


def test_a_folders_own_code_and_kernels_are_never_asked_for(folders, tmp_path):
    folder = tmp_path / "hostile"
    shutil.copytree(folders("dinov2")[0], folder)
    told = json.loads((folder / "config.json").read_text())
    told |= {
        "auto_map": {"AutoModel": "code.Model"},
        "attn_implementation": "someone/kernel",
        "hidden_dropout_prob": 0.9,
    }
    (folder / "config.json").write_text(json.dumps(told))
    (folder / "code.py").write_text("raise SystemExit(1)")
    trunk, network = loaded(folder)
    assert not {"auto_map", "attn_implementation", "hidden_dropout_prob"} & set(network.image_encoder.config)
    trunk.train()
    assert torch.equal(trunk(films(56)), trunk(films(56)))


def test_a_description_out_of_bounds_is_refused(folders, tmp_path):
    _, network = loaded(folders("dinov2")[0])
    spec = ClassifierSpec(
        backbone="d", side=56, width=8, normalisation="own", task="t", labels=("t",),
        image_encoder=network.image_encoder,
    )  # fmt: skip
    weights.save_checkpoint(tmp_path / "net", weights.build_classifier(spec, 0), spec)
    path = tmp_path / "net" / "model.json"
    told = json.loads(path.read_text())
    told["image_encoder"]["config"]["num_hidden_layers"] = 10**6
    path.write_text(json.dumps(told))
    with pytest.raises(TimnetError, match="num_hidden_layers: expected 0 to 96, got 1000000"):
        weights.load_classifier(tmp_path / "net")


def test_a_hub_id_out_of_reach_says_so(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        TimnetError, match="no-one/nothing: expected a folder, a file, or a hub id within reach"
    ):
        initialisation.network_of("no-one/nothing", "resnet18", "film")


def test_a_checkpoint_of_old_has_no_image_encoder(networks):
    told = json.loads((networks / "timnet" / "model.json").read_text())
    assert told.pop("image_encoder") is None
    assert isinstance(checkpoints._spec(told, networks / "timnet"), TimnetSpec)
