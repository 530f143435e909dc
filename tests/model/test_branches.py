"""The branches: counts and shapes worked out by hand, one grey channel for three, inert padding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.models import resnet18

from timnet.model.branches import (
    GREY_MEAN,
    GREY_STD,
    ImageBranch,
    ModelError,
    TextBranch,
    Trunk,
    backbones,
    seeded,
)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def perturb_statistics(module: torch.nn.Module) -> None:
    """Give batch norms statistics that matter, so that equality means something."""
    generator = torch.Generator().manual_seed(1)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            layer.running_mean.copy_(torch.randn(layer.num_features, generator=generator) * 0.1)
            layer.running_var.copy_(torch.rand(layer.num_features, generator=generator) + 0.5)


def test_the_resnet18_trunk_has_the_parameters_counted_by_hand():
    stem = 3 * 64 * 7 * 7 + 2 * 64
    stage1 = 4 * (64 * 64 * 9 + 2 * 64)
    stages = 0
    for wide in (128, 256, 512):
        half = wide // 2
        stages += half * wide * 9 + 3 * wide * wide * 9 + 4 * 2 * wide  # four 3x3 convolutions and norms
        stages += half * wide + 2 * wide  # the shortcut's 1x1 convolution and norm
    assert count(Trunk("resnet18")) == stem + stage1 + stages == 11_176_512


def test_the_image_branch_adds_a_1x1_convolution_a_norm_and_a_layer_of_512():
    added = 512 * 512 + 2 * 512 + (512 * 512 + 512)
    assert count(ImageBranch("resnet18")) == 11_176_512 + added == 11_702_336


def test_the_text_branch_behind_bert_base_has_the_parameters_counted_by_hand():
    assert count(TextBranch(768)) == 768 * 512 + 2 * 512 + (512 * 512 + 512) == 656_896


@pytest.mark.parametrize(("side", "cells"), [(64, 2), (224, 7), (500, 16)])
def test_the_grid_is_a_32nd_of_the_side_and_the_vector_has_512_places(side, cells):
    branch = ImageBranch("resnet18").eval()
    with torch.inference_mode():
        grid, vector = branch(torch.rand(1, 1, side, side))
    assert grid.shape == (1, 512, cells, cells)
    assert vector.shape == (1, 512)
    assert (grid >= 0).all()


@pytest.mark.parametrize("normalisation", ["film", "imagenet"])
def test_one_grey_channel_gives_what_torchvision_gives_for_three_equal_ones(normalisation):
    reference = resnet18(weights=None).eval()
    perturb_statistics(reference)
    trunk = Trunk("resnet18", normalisation).eval()
    missing = trunk.load_state_dict(reference.state_dict(), strict=False)
    assert not missing.missing_keys
    assert set(missing.unexpected_keys) == {"fc.weight", "fc.bias"}
    films = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        grid = trunk(films)
        flat = films.flatten(1)
        own = ((flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)).view_as(films)
        alike = (films - GREY_MEAN) / GREY_STD
        three = (own if normalisation == "film" else alike).expand(-1, 3, -1, -1)
        expected = reference.fc(grid.mean((2, 3)))
        torch.testing.assert_close(reference(three), expected, rtol=1e-4, atol=1e-4)


def test_exposure_and_contrast_of_a_film_do_not_count():
    trunk = Trunk("resnet18").eval()
    films = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(trunk(films * 0.4 + 0.2), trunk(films), rtol=1e-3, atol=1e-4)


def test_a_film_of_one_grey_gives_numbers():
    with torch.inference_mode():
        assert torch.isfinite(Trunk("resnet18").eval()(torch.full((1, 1, 64, 64), 0.3))).all()


def test_padding_tokens_change_nothing_in_training_and_in_use():
    torch.manual_seed(0)
    branch = TextBranch(24, width=16)
    states, mask = torch.randn(3, 5, 24), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
    padded = torch.cat([states, torch.full((3, 7, 24), 99.0)], 1)
    long_mask = torch.cat([mask, torch.zeros(3, 7, dtype=torch.long)], 1)
    for mode in (True, False):
        branch.train(mode)
        branch.bn.reset_running_stats()
        short = branch.project(states, mask)
        branch.bn.reset_running_stats()
        torch.testing.assert_close(short, branch.project(padded, long_mask))


def test_pooling_is_the_mean_over_the_tokens_that_count():
    torch.manual_seed(0)
    branch = TextBranch(24, width=16).eval()
    perturb_statistics(branch)
    states, mask = torch.randn(1, 4, 24), torch.tensor([[1, 1, 1, 0]])
    by_hand = branch.fc(F.relu(branch.bn(branch.conv(states[0, :3]))).mean(0))
    torch.testing.assert_close(branch.project(states, mask)[0], by_hand)


def test_under_a_mask_of_ones_zeros_take_part_as_in_the_paper():
    torch.manual_seed(0)
    branch = TextBranch(24, width=16).eval()
    perturb_statistics(branch)
    states = torch.cat([torch.randn(1, 3, 24), torch.zeros(1, 2, 24)], 1)
    masked = branch.project(states, torch.tensor([[1, 1, 1, 0, 0]]))
    assert not torch.allclose(masked, branch.project(states, torch.ones(1, 5, dtype=torch.long)))


def test_every_torchvision_resnet_can_be_the_trunk():
    assert {"resnet18", "resnet34", "resnet50", "resnext50_32x4d", "wide_resnet50_2"} <= set(backbones())
    assert ImageBranch("resnet50").conv.in_channels == 2048


def test_another_network_is_refused_by_name():
    with pytest.raises(ModelError, match=r"expected one of .*resnet18.*, got 'vgg16'"):
        Trunk("vgg16")


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ModelError, match="expected film or imagenet, got 'cohort'"):
        Trunk("resnet18", "cohort")


def test_a_frozen_encoder_lives_outside_the_branch():
    with pytest.raises(ModelError, match="project"):
        TextBranch(24)(torch.ones(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.long))


def test_seeded_layers_repeat_and_leave_the_generator_outside_alone():
    before = torch.random.get_rng_state()
    with seeded(3):
        first = torch.nn.Linear(4, 4)
    with seeded(3):
        second = torch.nn.Linear(4, 4)
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(before, torch.random.get_rng_state())
