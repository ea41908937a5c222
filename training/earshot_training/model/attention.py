"""Self-attention with BEATs' gated relative position bias."""

import math

import torch
from torch import Tensor, nn

from earshot_training.config import EncoderConfig
from earshot_training.model.gated_attention_cpu import gated_attention

# Positions count patches of one clip; 4096 of them are 81.9 s.
MAX_PATCHES = 4096
# Finite, so that a clip without any valid patch gives numbers that a mean can leave out, not NaN.
MASKED_SCORE = -1e4
GATE_OUTPUTS = 8


def relative_bucket_ids(num_buckets: int, max_distance: int) -> Tensor:
    """Bucket of each distance key - query from -4095 to 4095: (8191,) int64.

    The first half of the buckets serves keys at or before the query, the second those after it.
    Within a half, distances are exact up to half its buckets and logarithmic from there on.
    Computed once, so that no logarithm is left to the graph, and in float32 as in the released
    code, so that the edges of the logarithmic buckets lie where its edges lie.
    """
    half = num_buckets // 2
    exact = half // 2
    distances = torch.arange(1 - MAX_PATCHES, MAX_PATCHES)
    sizes = distances.abs()
    shares = torch.log(sizes.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    logarithmic = exact + (shares * (half - exact)).long()
    buckets = torch.where(sizes < exact, sizes, logarithmic.clamp(max=half - 1))
    return torch.where(distances > 0, half + buckets, buckets)


class RelativePositionBias(nn.Module):
    """One learned table (buckets, heads), shared by all layers.

    Buffers: `bucket_ids` (8191,) int64, which follows from the configuration.
    """

    bucket_ids: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.table = nn.Embedding(config.num_buckets, config.heads)
        bucket_ids = relative_bucket_ids(config.num_buckets, config.max_distance)
        self.register_buffer("bucket_ids", bucket_ids, persistent=False)

    def forward(self, num_patches: int) -> Tensor:
        """Bias of a whole sequence: (1, heads, N, N), query before key."""
        if num_patches > MAX_PATCHES:
            raise ValueError(f"Expected at most {MAX_PATCHES} patches, got {num_patches}")
        first = MAX_PATCHES - num_patches
        by_distance: Tensor = self.table(self.bucket_ids[first : first + 2 * num_patches - 1]).T
        # Window s of the distances is the bias of query N - 1 - s: views, where indexing would
        # need N * N look-ups and as many additions in the backward pass.
        return by_distance.unfold(1, num_patches, 1).flip(1).unsqueeze(0)

    def at(self, positions: Tensor) -> Tensor:
        """Bias of patches at given places: (B, K) int64 below 4096 -> (B, heads, K, K)."""
        distances = positions.unsqueeze(1) - positions.unsqueeze(2)
        bias: Tensor = self.table(self.bucket_ids[distances + MAX_PATCHES - 1])
        return bias.permute(0, 3, 1, 2)


class GatedAttention(nn.Module):
    """Multi-head self-attention whose position bias is gated by the query (WavLM's gate).

    For head h and query i, (ga, gb) = sigmoid(Linear(q_i) summed over its first and last four
    outputs) and the bias of layer and clip is (ga * (gb * gate_scale_h - 1) + 2) * bias_h.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads, self.head_dim = config.heads, config.head_dim
        self.attention_dropout = config.attention_dropout
        self.query = nn.Linear(config.dim, config.dim)
        self.key = nn.Linear(config.dim, config.dim)
        self.value = nn.Linear(config.dim, config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.gate = nn.Linear(config.head_dim, GATE_OUTPUTS)
        self.gate_scale = nn.Parameter(torch.ones(config.heads))

    def forward(self, x: Tensor, position_bias: Tensor, patch_padding: Tensor) -> Tensor:
        """Attend: (B, N, D), (B | 1, heads, N, N), (B, N) True = padding -> (B, N, D)."""
        query, key, value = (
            self._split_heads(project(x)) for project in (self.query, self.key, self.value)
        )
        padding_bias = query.new_zeros(patch_padding.shape).masked_fill(patch_padding, MASKED_SCORE)
        padding_bias = padding_bias[:, None, None, :]
        dropout = self.attention_dropout if self.training else 0.0
        gates = self.gates(query)
        if query.device.type == "cpu" and torch.is_grad_enabled() and dropout == 0:
            attended = gated_attention(query, key, value, gates, position_bias, padding_bias)
        else:
            # One pass over (B, heads, N, N), the largest tensor of a layer.
            bias = torch.addcmul(padding_bias, gates, position_bias)
            attended = nn.functional.scaled_dot_product_attention(
                query, key, value, attn_mask=bias.to(query.dtype), dropout_p=dropout
            )
        merged: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return merged

    def gates(self, query: Tensor) -> Tensor:
        """Gate of each query: (B, heads, N, head_dim), unscaled -> (B, heads, N, 1)."""
        logits = nn.functional.linear(query, *self.summed_gate())
        gate_a, gate_b = logits.sigmoid().chunk(2, dim=-1)
        gates: Tensor = gate_a * (gate_b * self.gate_scale[:, None, None] - 1.0) + 2.0
        return gates

    def summed_gate(self) -> tuple[Tensor, Tensor]:
        """Fold the sums over four outputs into the gate's weight (2, head_dim) and bias (2,)."""
        half = GATE_OUTPUTS // 2
        weight = self.gate.weight.view(2, half, -1).sum(dim=1)
        return weight, self.gate.bias.view(2, half).sum(dim=1)

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, self.head_dim).transpose(1, 2).contiguous()
