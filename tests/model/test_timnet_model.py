"""TIMNet and the classifier: eq. (3) by hand, every pair like pair by pair, counts worked out by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from timnet.model.branches import ImageBranch, ModelError, TextBranch, Trunk
from timnet.model.classifier import Classifier
from timnet.model.timnet import COSINE, LINEAR, PRODUCT, TIMNet


def tiny() -> TIMNet:
    torch.manual_seed(0)
    return TIMNet(ImageBranch("resnet18", width=16), TextBranch(24, width=16)).eval()


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_match_is_h_cls_of_the_absolute_difference():
    timnet = tiny()
    v_image, v_text = torch.randn(3, 512), torch.randn(3, 512)
    by_hand = F.linear(
        F.relu(F.linear((v_image - v_text).abs(), timnet.hidden.weight, timnet.hidden.bias)),
        timnet.out.weight,
        timnet.out.bias,
    )[:, 0]
    torch.testing.assert_close(timnet.match(v_image, v_text), by_hand)


def test_the_match_is_the_same_when_the_branches_change_places():
    timnet = tiny()
    v_image, v_text = torch.randn(3, 512), torch.randn(3, 512)
    torch.testing.assert_close(timnet.match(v_image, v_text), timnet.match(v_text, v_image))


def test_every_pair_at_once_equals_pair_by_pair_for_any_block():
    timnet = tiny()
    v_image, v_text = torch.randn(5, 512), torch.randn(4, 512)
    expected = torch.stack(
        [torch.stack([timnet.match(i[None], t[None])[0] for t in v_text]) for i in v_image]
    )
    for block in (1, 2, 5, 64):
        torch.testing.assert_close(timnet.match_all(v_image, v_text, block), expected)


@pytest.mark.parametrize("block", [1, 3, 7])
def test_blocks_give_the_logits_and_gradients_of_every_pair_at_once_in_float64(block):
    timnet = tiny().double()
    generator = torch.Generator().manual_seed(0)
    push = torch.randn(7, 5, dtype=torch.float64, generator=generator)
    answers = []
    for size in (7, block):
        sides = [
            torch.randn(n, 512, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
            for n in (7, 5)
        ]
        wanted = [
            *(side.requires_grad_() for side in sides),
            *timnet.hidden.parameters(),
            *timnet.out.parameters(),
        ]
        logits = timnet.match_all(*sides, size)
        answers.append([logits, *torch.autograd.grad((logits * push).sum(), wanted)])
    for dense, blockwise in zip(*answers, strict=True):
        torch.testing.assert_close(blockwise, dense, rtol=1e-12, atol=1e-12)


def kept_bytes(timnet, size, block):
    """Return the bytes that one call of match_all keeps for its gradients."""
    kept: dict[int, int] = {}

    def pack(tensor):
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    v_image, v_text = (torch.randn(size, 512, requires_grad=True) for _ in range(2))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = timnet.match_all(v_image, v_text, block)
    del logits
    return sum(kept.values())


def test_memory_for_gradients_grows_with_the_batch_and_not_with_its_square():
    timnet = tiny()
    assert kept_bytes(timnet, 128, 128) > 128 * 128 * 512 * 4
    few, many = (kept_bytes(timnet, size, 16) for size in (128, 512))
    # Four times the batch: the vectors, no more. Single logits are the result and not kept here.
    assert few <= 4 * 128 * 512 * 4
    assert many <= 4 * few


def test_the_cosine_head_scales_the_cosine_of_the_vectors():
    torch.manual_seed(0)
    timnet = TIMNet(ImageBranch("resnet18", width=16), TextBranch(24, width=16), head=COSINE).eval()
    with torch.no_grad():
        timnet.bias.fill_(-0.5)
    v_image, v_text = torch.randn(5, 512), torch.randn(4, 512)
    by_hand = torch.stack(
        [torch.stack([10 * (i @ t) / (i.norm() * t.norm()) - 0.5 for t in v_text]) for i in v_image]
    )
    torch.testing.assert_close(timnet.match_all(v_image, v_text), by_hand)
    torch.testing.assert_close(timnet.match(v_image[:4], v_text), by_hand.diagonal())
    assert count(timnet) == count(tiny()) - 263_169 + 2


@pytest.mark.parametrize("head", [LINEAR, PRODUCT])
def test_the_other_shapes_of_h_cls_by_hand_for_every_pair(head):
    torch.manual_seed(0)
    timnet = TIMNet(ImageBranch("resnet18", width=16), TextBranch(24, width=16), head=head).eval()
    v_image, v_text = torch.randn(3, 512), torch.randn(2, 512)
    differences = [[(i - t).abs() for t in v_text] for i in v_image]
    if head == PRODUCT:
        both = [
            [torch.cat([d, i * t]) for d, t in zip(row, v_text, strict=True)]
            for row, i in zip(differences, v_image, strict=True)
        ]
        differences = [[timnet.hidden(each).clamp(min=0) for each in row] for row in both]
    by_hand = torch.stack([torch.stack([timnet.out(each)[0] for each in row]) for row in differences])
    torch.testing.assert_close(timnet.match_all(v_image, v_text, block=1), by_hand)
    extra = {LINEAR: 512 + 1, PRODUCT: 263_169 + 512 * 512}[head]
    assert count(timnet) == count(tiny()) - 263_169 + extra


def test_a_head_of_another_name_is_refused():
    with pytest.raises(
        ModelError, match=r"^head: expected difference or linear or product or cosine, got 'dot'"
    ):
        TIMNet(ImageBranch("resnet18", width=16), TextBranch(24, width=16), head="dot")


def test_the_matching_head_has_the_parameters_counted_by_hand():
    timnet = tiny()
    assert count(timnet.hidden) + count(timnet.out) == (512 * 512 + 512) + (512 + 1) == 263_169


def test_the_whole_paper_network_without_bert_has_the_parameters_counted_by_hand():
    paper = TIMNet(ImageBranch("resnet18"), TextBranch(768))
    assert count(paper) == 11_702_336 + 656_896 + 263_169


def test_the_downstream_network_has_the_parameters_counted_by_hand():
    head = 512 * 512 + 2 * 512 + (512 * 512 + 512) + (512 * 14 + 14)
    assert count(Classifier(Trunk("resnet18"), labels=14)) == 11_176_512 + head


def test_the_downstream_network_gives_one_logit_a_label():
    classifier = Classifier(Trunk("resnet18"), labels=3, width=16).eval()
    films = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        logits = classifier(films)
        assert logits.shape == (2, 3)
        torch.testing.assert_close(logits, classifier.head(classifier.grid(films).mean((2, 3))))


def test_a_second_film_in_the_batch_changes_nothing_in_use():
    classifier = Classifier(Trunk("resnet18"), labels=1, width=16).eval()
    films = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(classifier(films)[:1], classifier(films[:1]), rtol=1e-4, atol=1e-5)
