"""BERT encoders: any hub id or local folder, their fingerprint, and the token states of texts.

Owns tokenisation, and what a frozen encoder makes of texts (`states` keeps that on disk). Refuses folders
without a BERT; nothing is downloaded unless a hub id is asked for. Weights are read from safetensors only,
never from a pickle.

Shapes: B batch, T tokens, H BERT's width.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from torch import Tensor, nn

from timnet import config, files
from timnet.counting import counted
from timnet.errors import reason
from timnet.model.branches import ModelError

_SETTINGS = "config.json"
_IDENTITY = (_SETTINGS, "model.safetensors", "tokenizer.json")


Size = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Shape(BaseModel):
    """What a BERT's config.json may say; other fields stand beside these."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    model_type: str = ""
    architectures: list[str] | None = None
    hidden_size: Annotated[int, Field(ge=1, le=8192)] = 1
    num_hidden_layers: Annotated[int, Field(ge=1, le=96)] = 1
    num_attention_heads: Annotated[int, Field(ge=1, le=512)] = 1
    intermediate_size: Size = 1
    vocab_size: Size = 1
    max_position_embeddings: Size = 1
    type_vocab_size: Size = 1
    pad_token_id: Annotated[int, Field(ge=0)] | None = None
    layer_norm_eps: Annotated[float, Field(gt=0, le=0.01)] = 1e-12
    initializer_range: Share = 0.02
    hidden_act: str = ""
    hidden_dropout_prob: Share = 0.0
    attention_probs_dropout_prob: Share = 0.0


_SHAPE = TypeAdapter(_Shape)


@dataclass(frozen=True)
class TextEncoder:
    """A BERT with its tokenizer; `source` says where from, `sha256` a folder's content."""

    source: str
    sha256: str | None
    tokenizer: Any
    bert: nn.Module

    @property
    def width(self) -> int:
        """Width H of the token states."""
        return int(self.bert.config.hidden_size)  # type: ignore[union-attr, arg-type]

    def content(self) -> str:
        """Return the sha256 of what the encoder is: of its folder, or of weights and tokenizer from a hub."""
        if self.sha256 is not None:
            return self.sha256
        digest = hashlib.sha256(self.tokenizer.backend_tokenizer.to_str().encode())
        for name, value in sorted(self.bert.state_dict().items()):
            digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def windows(self, texts: Sequence[str], tokens: int, literal: bool = False) -> list[list[list[int]]]:
        """Return each text's token ids in consecutive windows, each with its own special tokens.

        All windows of a text but its last hold exactly `tokens` ids; no word of any text is left out.
        `literal` fills the last one up with padding too, as the paper does (Sec. IV-B).
        """
        fields = self.tokenizer(
            list(texts),
            padding="max_length" if literal else False,
            truncation=True,
            max_length=tokens,
            return_overflowing_tokens=True,
            verbose=False,
        )
        windows: list[list[list[int]]] = [[] for _ in texts]
        for ids, text in zip(fields["input_ids"], fields["overflow_to_sample_mapping"], strict=True):
            windows[text].append(ids)
        return windows

    def tokenize(self, texts: Sequence[str], tokens: int, literal: bool = False) -> tuple[Tensor, Tensor]:
        """Return token ids and mask (B, T): the windows of each text one after the other, then padding.

        T is more than `tokens` where a text has several windows. With `literal` the padding inside a window
        counts, as in the paper.
        """
        windows = self.windows(texts, tokens, literal)
        return self._padded([list(itertools.chain.from_iterable(each)) for each in windows])

    def lengths(self, texts: Sequence[str], tokens: int, literal: bool = False) -> list[int]:
        """Return how many tokens each text has over all its windows, special tokens included."""
        return [sum(map(len, each)) for each in self.windows(texts, tokens, literal)]

    @torch.inference_mode()
    def states(
        self,
        texts: Sequence[str],
        tokens: int,
        literal: bool = False,
        progress: Callable[[int, int], None] | None = None,
        batch: int = 32,
        upper: int = 0,
    ) -> TokenStates:
        """Encode texts with the frozen encoder, but for its `upper` layers; like lengths share a batch.

        A text of several windows is encoded window by window and its states are joined, so that all of it
        counts in the convolution and pooling behind.
        """
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        states: list[Tensor] = [torch.empty(0)] * len(texts)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            windows = self.windows([texts[i] for i in rows], tokens, literal)
            flat = [ids for each in windows for ids in each]
            parts = [
                state
                for at in range(0, len(flat), batch)
                for state in self._window_states(flat[at : at + batch], upper)
            ]
            ends = [0, *itertools.accumulate(len(each) for each in windows)]
            for i, (first, end) in zip(rows, itertools.pairwise(ends), strict=True):
                states[i] = torch.cat(parts[first:end])
            if progress:
                progress(min(start + batch, len(order)), len(order))
        return TokenStates(tuple(states))

    def _window_states(self, windows: list[list[int]], upper: int) -> list[Tensor]:
        """Return the fp16 states (T, H) of windows of token ids, encoded together."""
        device = next(self.bert.parameters()).device
        ids_BT, mask_BT = self._padded(windows)
        output = self.bert.eval()(
            input_ids=ids_BT.to(device), attention_mask=mask_BT.to(device), output_hidden_states=upper > 0
        )
        states_BTH = output.hidden_states[-1 - upper] if upper else output.last_hidden_state
        return [state[: len(ids)].half().cpu() for state, ids in zip(states_BTH, windows, strict=True)]

    def _padded(self, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Return ids (B, T), padded behind each row's own, and their mask."""
        return _padded([torch.tensor(row) for row in rows], self.tokenizer.pad_token_id)


class Upper(nn.Module):
    """The last layers of a BERT, shared with it: states below them in, what the whole BERT makes of them out.

    A model of the BERT's own class around those layers alone: its masks and attention are the library's.
    """

    def __init__(self, bert: nn.Module, layers: int) -> None:
        """Take the last `layers` of a BERT.

        Raises:
            ModelError: it has fewer, or keeps its layers elsewhere than a BERT does.
        """
        super().__init__()
        held: Any = bert
        whole = getattr(getattr(held, "encoder", None), "layer", None)
        if not isinstance(whole, nn.ModuleList) or not 1 <= layers <= len(whole):
            had = len(whole) if isinstance(whole, nn.ModuleList) else "none where a BERT has them"
            raise ModelError(
                f"text encoder: expected a BERT of {counted(layers, 'layer')} or more, got {had}"
            )
        shape = copy.deepcopy(held.config)
        shape.num_hidden_layers = layers
        # On no device: nothing of its own is kept.
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            self.top = type(held)(shape, add_pooling_layer=False)
        self.top.embeddings = _Given()
        self.top.encoder.layer = nn.ModuleList(whole[-layers:])

    def forward(self, states_BTH: Tensor, mask_BT: Tensor) -> Any:
        """Return the output whose `last_hidden_state` (B, T, H) is the whole BERT's."""
        return self.top(inputs_embeds=states_BTH, attention_mask=mask_BT)


class _Given(nn.Module):
    """Stands where a BERT embeds its tokens, for states that are given."""

    def forward(self, inputs_embeds: Tensor, **others: Any) -> Tensor:
        return inputs_embeds


@dataclass(frozen=True)
class TokenStates:
    """Token states of texts at their true lengths, fp16."""

    states: tuple[Tensor, ...]

    def batch(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return padded states (B, T, H) float32 and their mask (B, T)."""
        return _padded([self.states[int(row)].float() for row in rows], 0)


def _padded(rows: list[Tensor], value: int) -> tuple[Tensor, Tensor]:
    """Return rows padded behind each one's own (B, T, ...), and their mask (B, T)."""
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
    lengths = torch.tensor([len(row) for row in rows])
    return padded, (torch.arange(padded.shape[1]) < lengths.unsqueeze(1)).long()


def load(source: str) -> TextEncoder:
    """Load a BERT and its tokenizer from a local folder or a hub id.

    Raises:
        ModelError: no such folder or hub id within reach, or no encoder with safetensors weights there.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    folder = local_folder(source)
    if folder and (folder / _SETTINGS).is_file():
        files.read(folder / _SETTINGS, _SHAPE, ModelError)
    try:
        # Said outright: else the library asks in the terminal whether to run a folder's own code.
        local = {"local_files_only": folder is not None, "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(folder or source, **local)
        bert, loaded = AutoModel.from_pretrained(
            folder or source,
            **local,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **({"add_pooling_layer": False} if _is_bert(folder) else {}),
        )
    except Exception as error:
        # The library meets a damaged or hostile folder with many error types; all of them mean a refusal.
        raise ModelError(
            f"text encoder: expected a BERT's local folder or hub id within reach, got {source!r} "
            f"({reason(error)})"
        ) from None
    # Heads that nobody asks may be missing; a layer that is would be drawn at random.
    if missing := sorted(key for key in loaded["missing_keys"] if "pooler" not in key):
        raise ModelError(
            f"text encoder: expected the weights of all layers that {_SETTINGS} names in {source!r}, "
            f"{missing[0][:80]} is missing"
        )
    return TextEncoder(str(source), fingerprint(folder) if folder else None, tokenizer, bert.eval())


def recompute(layers: nn.Module) -> None:
    """Let a BERT, or the upper layers of one, compute its layers again for their gradients."""
    held: Any = layers.top if isinstance(layers, Upper) else layers
    held.gradient_checkpointing_enable({"use_reentrant": False})


def local_folder(source: str) -> Path | None:
    """Return the folder that a source names, also relative to the repository; None for a hub id."""
    for folder in (Path(source).expanduser(), config.BUNDLE / source):
        if folder.is_dir():
            return folder
    return None


def fingerprint(folder: Path) -> str:
    """Return the sha256 over config, weights and tokenizer of an encoder's folder."""
    digest = hashlib.sha256()
    for name in _IDENTITY:
        path = folder / name
        digest.update(name.encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"absent")
    return digest.hexdigest()


def _is_bert(folder: Path | None) -> bool:
    if folder is None:
        return True
    config_file = folder / _SETTINGS
    return config_file.is_file() and '"bert"' in config_file.read_text(encoding="utf-8", errors="replace")
