"""Attention with a gated bias and its gradients, written out for training on a processor.

PyTorch's fused attention for CPUs gives no gradient of an additive bias, so it falls back to a
dozen passes over (B, heads, N, N), the largest tensor of a layer. Here the forward pass makes
four and the backward pass five, most of them in the half-width type of the inputs.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


class GatedAttentionFunction(torch.autograd.Function):
    """softmax(q k' / sqrt(d) + gate * bias + padding) v.

    Scores and softmax are float32; probabilities are kept and multiplied in the type of the
    values. There is no gradient of the padding, and no second derivative.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        gates: Tensor,
        position_bias: Tensor,
        padding_bias: Tensor,
    ) -> Tensor:
        """Attend.

        Args:
            ctx: keeps what the gradients need.
            query: (B, heads, N, d), unscaled, as are key and value.
            key: same shape.
            value: same shape.
            gates: (B, heads, N, 1).
            position_bias: (B or 1, heads, N, N).
            padding_bias: (B, 1, 1, N), a large negative number at keys that are padding.

        Returns:
            (B, heads, N, d) of the values' type.

        """
        clips, heads, patches, head_dim = query.shape
        merged = (clips * heads, patches, -1)
        q, k, v = (x.reshape(merged) for x in (query, key, value))
        gates, position_bias = gates.to(query.dtype), position_bias.to(query.dtype)
        scores = torch.addcmul(padding_bias.float(), gates.float(), position_bias.float())
        scores = scores.view(clips * heads, patches, patches)
        scores.baddbmm_(q.float(), k.float().transpose(1, 2), alpha=head_dim**-0.5)
        probabilities = scores.softmax(-1).to(v.dtype)
        ctx.save_for_backward(q, k, v, probabilities, gates, position_bias)
        return torch.bmm(probabilities, v).view(query.shape)

    @staticmethod
    def backward(
        ctx: FunctionCtx, gradient: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, None]:
        """Gradients of all inputs but the padding, in their shapes."""
        q, k, v, probabilities, gates, position_bias = ctx.saved_tensors  # type: ignore[attr-defined]  # set by torch
        clips, heads, patches, _ = gates.shape
        shape, scale = (clips, heads, patches, q.shape[-1]), q.shape[-1] ** -0.5
        gradient = gradient.reshape(q.shape)
        of_value = torch.bmm(probabilities.transpose(1, 2), gradient)
        of_probabilities = torch.bmm(gradient, v.transpose(1, 2))
        of_scores = torch._softmax_backward_data(
            of_probabilities, probabilities, -1, probabilities.dtype
        )
        of_query = torch.bmm(of_scores, k).mul_(scale).view(shape)
        of_key = torch.bmm(of_scores.transpose(1, 2), q).mul_(scale).view(shape)
        of_scores = of_scores.view(clips, heads, patches, patches)
        of_gates = (of_scores * position_bias).sum(-1, keepdim=True)
        of_bias = of_scores * gates
        if position_bias.shape[0] == 1:
            of_bias = of_bias.sum(0, keepdim=True)
        return of_query, of_key, of_value.view(shape), of_gates, of_bias, None


def gated_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    gates: Tensor,
    position_bias: Tensor,
    padding_bias: Tensor,
) -> Tensor:
    """Apply `GatedAttentionFunction`; shapes as there."""
    attended: Tensor = GatedAttentionFunction.apply(  # type: ignore[no-untyped-call]  # of torch
        query, key, value, gates, position_bias, padding_bias
    )
    return attended
