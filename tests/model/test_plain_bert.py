"""A frozen BERT by torch's own layers: the tokens and the states that the transformers library gives."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from timnet import config
from timnet.model import encoders, plain_bert

TEXTS = (
    "The heart is normal in size. No pleural effusion or pneumothorax.",
    "",
    "   \n\t ",
    "Größe, naïve café; 中文 и русский — “quotes” … 1.5cm (3/4)!",
    "word " * 700,
    "pneumonoultramicroscopicsilicovolcanoconiosis" * 5,
    "[CLS] [MASK] ##ing \u200b\u00ad\x00end",
)


@pytest.fixture(params=["shipped", "tiny"])
def folder(request: pytest.FixtureRequest, tiny_bert: Path) -> Path:
    return config.TEXT_ENCODER if request.param == "shipped" else tiny_bert


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("tokens", [16, 128])
def test_windows_are_the_librarys(folder: Path, tokens: int, literal: bool) -> None:
    ours, library = plain_bert.load(folder), encoders.load(str(folder))
    assert isinstance(ours.bert, plain_bert.PlainBert)
    assert ours.windows(TEXTS, tokens, literal) == library.windows(TEXTS, tokens, literal)
    assert ours.lengths(TEXTS, tokens) == library.lengths(TEXTS, tokens)
    assert ours.tokenizer.num_special_tokens_to_add() == library.tokenizer.num_special_tokens_to_add()
    bare = [each.tokenizer(list(TEXTS), add_special_tokens=False)["input_ids"] for each in (ours, library)]
    assert bare[0] == bare[1]


def test_states_are_the_librarys_to_five_places_whatever_stands_beside_them(folder: Path) -> None:
    ours, library = plain_bert.load(folder), encoders.load(str(folder))
    ids, mask = ours.tokenize(TEXTS[:4], 64)
    with torch.inference_mode():
        told = [
            each.bert(input_ids=ids, attention_mask=mask, output_hidden_states=True)
            for each in (ours, library)
        ]
    where = mask.bool()
    assert len(told[0].hidden_states) == len(told[1].hidden_states)
    for own, other in zip(told[0].hidden_states, told[1].hidden_states, strict=True):
        torch.testing.assert_close(own[where], other[where], atol=1e-5, rtol=0)
    # One text alone has no padding.
    alone = ours.bert(*ours.tokenize(TEXTS[:1], 64)).last_hidden_state[0]
    torch.testing.assert_close(alone, told[0].last_hidden_state[0][where[0]], atol=1e-5, rtol=0)
    assert (ours.width, ours.sha256) == (library.width, library.sha256)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"position_embedding_type": "relative_key"}),
        ("tokenizer_config.json", {"do_lower_case": False}),
    ],
)
def test_what_is_not_plain_goes_to_the_library(
    tiny_bert: Path, tmp_path: Path, name: str, changes: dict
) -> None:
    shutil.copytree(tiny_bert, tmp_path / "bert")
    path = tmp_path / "bert" / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert not isinstance(plain_bert.load(tmp_path / "bert").bert, plain_bert.PlainBert)


def test_a_damaged_folder_is_refused_in_the_librarys_sentence(tiny_bert: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bert, tmp_path / "bert")
    (tmp_path / "bert" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(encoders.ModelError, match="text encoder: expected"):
        plain_bert.load(tmp_path / "bert")


def test_a_reading_needs_no_transformers(networks: Path) -> None:
    code = (
        "import sys, numpy as np\nfrom timnet.reader import Reader\n"
        f"reader = Reader.load({str(networks / 'timnet')!r})\n"
        "reading = reader.read(np.eye(64, dtype=np.float32), 'No effusion.')\n"
        "assert 0 < reading.match < 1 and 'transformers' not in sys.modules, 'it was imported'"
    )
    subprocess.run([sys.executable, "-c", code], cwd=config.REPOSITORY, check=True)
