"""Maps of pytorch-grad-cam behind the last grid, against their published formulas, one at a time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from timnet.evaluation.maps import grad_cam_library


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))


def stretched(map_hw: torch.Tensor) -> np.ndarray:
    found = map_hw.relu().numpy()
    return (found - found.min()) / (found - found.min()).max()


@pytest.mark.parametrize("method", ["LayerCAM", "HiResCAM"])
def test_maps_equal_the_published_formula(method: grad_cam_library.Method) -> None:
    head, grid = network(), torch.randn(1, 8, 5, 4)
    leaf = grid.clone().requires_grad_()
    slope = torch.autograd.grad(head(leaf.mean((2, 3)))[0, 1], leaf)[0]
    product = (slope.relu() if method == "LayerCAM" else slope) * grid
    found = grad_cam_library.stretched(method, head, grid, head, 1)
    np.testing.assert_allclose(found, stretched(product.sum(1)[0]), atol=1e-4)


def test_eight_threads_give_the_maps_of_one_and_leave_no_gradient() -> None:
    head = network()
    grids = [torch.rand(1, 8, 5, 4) for _ in range(8)]
    asked = [(method, grid) for method in grad_cam_library.METHODS for grid in grids]

    def ask(each: tuple[grad_cam_library.Method, torch.Tensor]) -> np.ndarray:
        return grad_cam_library.stretched(each[0], head, each[1], head, 0)

    serial = [ask(each) for each in asked]
    with ThreadPoolExecutor(8) as pool:
        for found, expected in zip(pool.map(ask, asked), serial, strict=True):
            np.testing.assert_array_equal(found, expected)
    assert all(parameter.grad is None for parameter in head.parameters())


def test_another_method_is_refused() -> None:
    with pytest.raises(ValueError, match="expected GradCAM"):
        grad_cam_library.stretched("Magic", network(), torch.rand(1, 8, 2, 2), network(), 0)  # type: ignore[arg-type]
