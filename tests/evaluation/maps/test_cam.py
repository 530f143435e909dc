"""Maps: equal to the library's Grad-CAM up to scaling, tied to the logit, painted absolutely."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from timnet.evaluation.maps import cam
from timnet.model.branches import ImageBranch, TextBranch, Trunk
from timnet.model.classifier import Classifier
from timnet.model.timnet import TIMNet


def films(number=2, side=96):
    return torch.rand(number, 1, side, side, generator=torch.Generator().manual_seed(0))


def scaled(maps: np.ndarray) -> np.ndarray:
    """Scale each map to 0..1 as the library does."""
    positive = np.maximum(maps, 0)
    low, high = positive.min((1, 2), keepdims=True), positive.max((1, 2), keepdims=True)
    return (positive - low) / (high - low + 1e-7)


class AfterReLU(torch.nn.Module):
    """The network with its grid as a layer of its own, which the library can hook."""

    def __init__(self, network, grid, head):
        super().__init__()
        self.network, self.grid, self.head, self.tap = network, grid, head, torch.nn.Identity()

    def forward(self, x):
        return self.head(self.tap(self.grid(x)).mean((2, 3)))


def library(network, grid, head, x, label):
    network = AfterReLU(network, grid, head)
    with GradCAM(network, [network.tap]) as gradcam:
        # The library resizes maps to the film; a film as small as the grid is spared that.
        gradcam.get_target_width_height = lambda tensor: None
        return gradcam(x, [ClassifierOutputTarget(label)] * len(x))


def test_class_maps_equal_the_librarys_grad_cam_up_to_its_scaling():
    torch.manual_seed(0)
    classifier = Classifier(Trunk("resnet18"), labels=3, width=16).eval()
    x = films()
    logits, maps = cam.evidence(classifier.grid(x), classifier.head)
    torch.testing.assert_close(logits, classifier(x).detach())
    for label in range(3):
        expected = library(classifier, classifier.grid, classifier.head, x, label)
        np.testing.assert_allclose(scaled(maps[:, label].numpy()), expected, atol=1e-4)


def test_match_maps_equal_the_librarys_grad_cam_up_to_its_scaling():
    torch.manual_seed(0)
    timnet = TIMNet(ImageBranch("resnet18", width=16), TextBranch(24, width=16)).eval()
    x, v_text = films(1), torch.randn(1, 512)

    def head(pooled):
        return timnet.match(timnet.image.fc(pooled), v_text).unsqueeze(1)

    logits, maps = cam.evidence(timnet.image.grid(x), head)
    torch.testing.assert_close(logits[:, 0], timnet.match(timnet.image(x)[1], v_text).detach())
    expected = library(timnet, timnet.image.grid, head, x, 0)
    np.testing.assert_allclose(scaled(maps[:, 0].numpy()), expected, atol=1e-4)


def test_a_linear_heads_map_mean_and_bias_are_the_logit():
    grid = torch.rand(3, 8, 5, 7)
    head = torch.nn.Linear(8, 2)
    logits, maps = cam.evidence(grid, head)
    torch.testing.assert_close(maps.mean((2, 3)) + head.bias.detach(), logits)


def test_a_mirrored_grid_has_the_mirrored_map():
    grid, head = torch.rand(1, 8, 5, 7), torch.nn.Linear(8, 1)
    plain, mirrored = cam.evidence(grid, head)[1], cam.evidence(grid.flip(3), head)[1]
    torch.testing.assert_close(mirrored.flip(3), plain)


def test_nothing_of_the_trunk_is_asked_for_a_gradient():
    classifier = Classifier(Trunk("resnet18"), labels=1, width=16).eval()
    with torch.no_grad():
        grid = classifier.grid(films(1))
    cam.evidence(grid, classifier.head)
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_a_film_without_evidence_stays_unpainted():
    pixels = np.random.default_rng(0).random((6, 5), dtype=np.float32)
    painted = cam.paint(pixels, np.full((6, 5), -2.0, np.float32), scale=1.0)
    assert (painted == np.rint(pixels * 255).astype(np.uint8)[..., None]).all()


def test_paint_grows_with_evidence_on_a_scale_that_the_film_does_not_choose():
    black = np.zeros((1, 4), np.float32)
    weak = cam.paint(black, np.array([[0, 0.1, 0.2, 0.3]], np.float32), scale=3.0).sum(-1)[0]
    strong = cam.paint(black, np.array([[0, 1, 2, 3]], np.float32), scale=3.0).sum(-1)[0]
    assert (np.diff(strong.astype(int)) > 0).all()
    assert weak.max() < strong[1]
    beyond = cam.paint(black, np.array([[0, 1, 2, 300]], np.float32), scale=3.0)
    assert (beyond[0, 3] == cam.paint(black, np.array([[0, 1, 2, 3]], np.float32), scale=3.0)[0, 3]).all()


def test_the_scale_is_the_99th_percentile_of_the_positive_cells():
    maps = torch.cat([torch.arange(1, 101).float(), -torch.arange(1, 1001).float()]).view(1, 1, 100, 11)
    assert cam.scale_of(maps) == pytest.approx(np.percentile(np.arange(1, 101), 99))
    assert cam.scale_of(-maps.abs()) == 1.0
