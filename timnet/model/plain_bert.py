"""A frozen BERT for reading, without the transformers library, which takes two seconds to import.

Owns the way from a folder's weights to torch's own encoder layers, and its tokens. Only the plain
architecture is taken (learned absolute positions, GELU, the usual tokenizer); any other folder goes to
`encoders.load`. Both give the same states to 1e-5, which tests hold against the library.

Shapes: B batch, T tokens, H width.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from timnet.model import encoders
from timnet.model.encoders import TextEncoder

_PLAIN = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
_TOKENIZER = {"normalizer": "BertNormalizer", "pre_tokenizer": "BertPreTokenizer", "model": "WordPiece"}
_LIBRARY = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}
"""torch's names of a layer's parts -> the library's."""


class Tokens:
    """A BERT's tokenizer, called as the library's is, for what `TextEncoder` asks of it."""

    def __init__(self, path: Path) -> None:
        """Read a tokenizer.json."""
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._first, self._last, self.pad_token_id = (
            self._tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]")
        )

    @staticmethod
    def num_special_tokens_to_add() -> int:
        """Return how many tokens stand around a window: [CLS] and [SEP]."""
        return 2

    def __call__(
        self,
        texts: Sequence[str],
        padding: str | bool = False,
        max_length: int = 0,
        add_special_tokens: bool = True,
        **_same_for_all: Any,
    ) -> dict[str, list[Any]]:
        """Return `input_ids` of every window of the texts, and whose they are."""
        ids = [each.ids for each in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        if not add_special_tokens:
            return {"input_ids": ids}
        room = max_length - 2
        windows, owners = [], []
        for owner, row in enumerate(ids):
            for at in range(0, max(len(row), 1), room):
                window = [self._first, *row[at : at + room], self._last]
                if padding == "max_length":
                    window += [self.pad_token_id] * (max_length - len(window))
                windows.append(window)
                owners.append(owner)
        return {"input_ids": windows, "overflow_to_sample_mapping": owners}


class PlainBert(nn.Module):
    """A BERT's layers, called as the library's model is; without dropout and without gradients."""

    def __init__(self, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
        """Take the weights by the library's names.

        Raises:
            KeyError: one is missing.
            RuntimeError: one is of another shape than the configuration says.
        """
        super().__init__()
        width, eps = config["hidden_size"], config.get("layer_norm_eps", 1e-12)
        self.config = SimpleNamespace(hidden_size=width)
        self.words = nn.Embedding.from_pretrained(state["embeddings.word_embeddings.weight"])
        kinds, places = (state[f"embeddings.{name}_embeddings.weight"] for name in ("token_type", "position"))
        self.places = nn.Parameter(places + kinds[0])
        self.norm = nn.LayerNorm(width, eps=eps)
        self.norm.load_state_dict(_part(state, "embeddings.LayerNorm"))
        self.layers = nn.ModuleList()
        for number in range(config["num_hidden_layers"]):
            layer = nn.TransformerEncoderLayer(
                width,
                config["num_attention_heads"],
                config["intermediate_size"],
                dropout=0.0,
                activation="gelu",
                layer_norm_eps=eps,
                batch_first=True,
            )
            layer.load_state_dict(_layer(state, f"encoder.layer.{number}"))
            self.layers.append(layer)
        self.eval().requires_grad_(False)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, output_hidden_states: bool = False
    ) -> SimpleNamespace:
        """Return `last_hidden_state` (B, T, H), and all layers' where asked; padding is undefined."""
        states_BTH = self.norm(self.words(input_ids) + self.places[: input_ids.shape[1]])
        hidden = [states_BTH]
        is_padding_BT = None if attention_mask.all() else attention_mask == 0
        for layer in self.layers:
            states_BTH = layer(states_BTH, src_key_padding_mask=is_padding_BT)
            hidden.append(states_BTH)
        return SimpleNamespace(
            last_hidden_state=states_BTH, hidden_states=hidden if output_hidden_states else None
        )


def load(folder: Path) -> TextEncoder:
    """Return a folder's frozen encoder, by the library where it is not a plain BERT.

    Raises:
        ModelError: as of `encoders.load`.
    """
    if _is_plain(folder):
        try:
            state = {
                name.removeprefix("bert."): value
                for name, value in load_file(folder / "model.safetensors").items()
            }
            bert = PlainBert(
                json.loads((folder / "config.json").read_text(encoding="utf-8")),
                {name: value.float() for name, value in state.items() if value.is_floating_point()},
            )
            return TextEncoder(
                str(folder), encoders.fingerprint(folder), Tokens(folder / "tokenizer.json"), bert
            )
        except Exception:
            # Damaged in one of many ways: the library's loader says which, in one sentence.
            return encoders.load(str(folder))
    return encoders.load(str(folder))


def _is_plain(folder: Path) -> bool:
    """Say whether a folder holds the architecture and the tokenizer that this module knows."""
    try:
        config, tokenizer = (
            json.loads((folder / name).read_text(encoding="utf-8"))
            for name in ("config.json", "tokenizer.json")
        )
        settings = folder / "tokenizer_config.json"
        settings_of = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
        parts = {name: (tokenizer.get(name) or {}).get("type") for name in _TOKENIZER}
        lower = tokenizer["normalizer"].get("lowercase")
        return (
            all(config.get(name, value) == value for name, value in _PLAIN.items())
            and parts == _TOKENIZER
            and settings_of.get("do_lower_case", lower) == lower
            and {"[CLS]", "[SEP]", "[PAD]"} <= set(tokenizer["model"]["vocab"])
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {kind: state[f"{name}.{kind}"] for kind in ("weight", "bias")}


def _layer(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return one layer's weights by torch's names."""
    found = {
        f"self_attn.in_proj_{kind}": torch.cat(
            [state[f"{name}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
        )
        for kind in ("weight", "bias")
    }
    for ours, theirs in _LIBRARY.items():
        found |= {f"{ours}.{kind}": value for kind, value in _part(state, f"{name}.{theirs}").items()}
    return found
