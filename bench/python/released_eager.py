"""The base model as the released BEATs code runs it: eager PyTorch, attention written out.

The order of operations is the released one: weight norm of the convolution anew in every pass, time
before batch, scores divided by 32 and multiplied again around their maximum, the gated bias and the
softmax as tensors of their own (heads, N, N), the predictor on every patch. Only the fbank is this
repository's, since torchaudio is not among its requirements.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from earshot_training.audio.fbank import Fbank

SCORE_SHRINK = 32.0


class ReleasedEager:
    """Runs a checkpoint in the released format, as `tests.made_checkpoints` makes it."""

    def __init__(self, checkpoint: dict[str, Any]) -> None:
        self._cfg = checkpoint["cfg"]
        self._state: dict[str, Tensor] = checkpoint["model"]
        self._fbank = Fbank()

    def __call__(self, waveforms: Tensor) -> Tensor:
        """Score labels: (B, samples) in [-1, 1] at 16 kHz, of one length -> (B, labels)."""
        x = self._patch_embeddings(self._fbank(waveforms))
        x = self._norm("encoder.layer_norm", x + self._conv_positions(x)).transpose(0, 1)
        bias = self._position_bias(len(x), batch=x.shape[1])
        for layer in range(self._cfg["encoder_layers"]):
            x = self._block(f"encoder.layers.{layer}", x, bias)
        logits = self._linear("predictor", x.transpose(0, 1))
        return logits.mean(dim=1).sigmoid()

    def _patch_embeddings(self, fbank: Tensor) -> Tensor:
        """(B, frames, 128) -> (B, N, D)."""
        tiles = functional.conv2d(
            fbank.unsqueeze(1),
            self._state["patch_embedding.weight"],
            stride=self._cfg["input_patch_size"],
        )
        vectors = self._norm("layer_norm", tiles.flatten(2).transpose(1, 2))
        return self._linear("post_extract_proj", vectors)

    def _conv_positions(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        name = "encoder.pos_conv.0"
        weight = torch._weight_norm(
            self._state[f"{name}.weight_v"], self._state[f"{name}.weight_g"], 2
        )
        convolved = functional.conv1d(
            x.transpose(1, 2),
            weight,
            self._state[f"{name}.bias"],
            padding=self._cfg["conv_pos"] // 2,
            groups=self._cfg["conv_pos_groups"],
        )
        return functional.gelu(convolved[..., :-1]).transpose(1, 2)

    def _position_bias(self, patches: int, *, batch: int) -> Tensor:
        """(B * heads, N, N), once per pass, for every clip its own."""
        places = torch.arange(patches)
        distances = places[None, :] - places[:, None]
        half = self._cfg["num_buckets"] // 2
        exact = half // 2
        sizes = distances.abs()
        share = torch.log(sizes.float() / exact) / math.log(self._cfg["max_distance"] / exact)
        far = (exact + (share * (half - exact)).to(torch.long)).clamp(max=half - 1)
        buckets = half * (distances > 0) + torch.where(sizes < exact, sizes, far)
        table = self._state["encoder.layers.0.self_attn.relative_attention_bias.weight"]
        bias = functional.embedding(buckets, table).permute(2, 0, 1)
        return bias.unsqueeze(0).repeat(batch, 1, 1, 1).view(-1, patches, patches)

    def _block(self, name: str, x: Tensor, bias: Tensor) -> Tensor:
        """(N, B, D) -> (N, B, D)."""
        scale = math.pow(2 * self._cfg["encoder_layers"], 0.25)
        attended = self._attention(f"{name}.self_attn", x, bias)
        x = self._norm(f"{name}.self_attn_layer_norm", x * scale + attended)
        hidden = functional.gelu(self._linear(f"{name}.fc1", x))
        contracted = self._linear(f"{name}.fc2", hidden)
        return self._norm(f"{name}.final_layer_norm", x * scale + contracted)

    def _attention(self, name: str, x: Tensor, bias: Tensor) -> Tensor:
        """(N, B, D), (B * heads, N, N) -> (N, B, D)."""
        patches, batch, dim = x.shape
        heads = self._cfg["encoder_attention_heads"]
        scaling = (dim // heads) ** -0.5

        def by_head(values: Tensor) -> Tensor:
            return values.contiguous().view(patches, batch * heads, -1).transpose(0, 1)

        query = by_head(self._linear(f"{name}.q_proj", x) * (scaling / SCORE_SHRINK))
        key = by_head(self._linear(f"{name}.k_proj", x))
        value = by_head(self._linear(f"{name}.v_proj", x))
        scores = torch.bmm(query, key.transpose(1, 2))
        scores = (scores - scores.max(dim=-1, keepdim=True)[0]) * SCORE_SHRINK
        unscaled = query.view(batch, heads, patches, -1) * SCORE_SHRINK / scaling
        gated = self._gates(name, unscaled).view(batch * heads, patches, 1) * bias
        weights = functional.softmax(scores + gated, dim=-1)
        attended = torch.bmm(weights, value).transpose(0, 1).contiguous()
        return self._linear(f"{name}.out_proj", attended.view(patches, batch, dim))

    def _gates(self, name: str, query: Tensor) -> Tensor:
        """(B, heads, N, head_dim) -> (B, heads, N, 1)."""
        outputs = self._linear(f"{name}.grep_linear", query)
        halves = outputs.view(*outputs.shape[:3], 2, 4).sum(dim=-1)
        gate_a, gate_b = halves.sigmoid().chunk(2, dim=-1)
        return gate_a * (gate_b * self._state[f"{name}.grep_a"] - 1.0) + 2.0

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self._state[f"{name}.weight"], self._state[f"{name}.bias"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return functional.layer_norm(
            x, x.shape[-1:], self._state[f"{name}.weight"], self._state[f"{name}.bias"]
        )
