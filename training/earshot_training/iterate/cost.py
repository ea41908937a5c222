"""Floating-point operations of a run, from the sizes of its networks.

A product of matrices counts two operations per multiply-add; norms, activations, softmax and the
optimizer are left out. Training counts three forward passes (the backward pass does each product
twice). Counted are the patches of audio, not those of padding, at the mean length of the clips.
"""

from dataclasses import replace

from earshot_training.audio.fbank import FFT_BINS, FRAME_LENGTH, PATCH_FRAMES
from earshot_training.config import MEL_BINS, EncoderConfig
from earshot_training.data.patch_mask import num_kept
from earshot_training.iterate.config import EncoderStageConfig, TokenizerStageConfig
from earshot_training.tokenizer.random_projection import RandomProjectionConfig

TRAINING_PASSES = 3

FORMULA = (
    "per clip of N patches, K of them kept, width D, feed-forward F, codes C: block(N) = "
    "2N(4D² + 2DF) + 4N²D; encoder(N) = patches + conv positions + L·block(N); pre-training = "
    "3·(encoder(K) + predictor(N)) + fbank; tokenizer = 3·(encoder(N) + head + codes + "
    "estimator(N)) + teacher(N) + fbank; fine-tuning = 3·encoder(K) + fbank; tokens = "
    "encoder(N) + head + codes + fbank; probe = encoder(N) + fbank. Products of matrices only, "
    "two operations per multiply-add"
)


def encoder_training_flop(stage: EncoderStageConfig, patches: int, codebook_size: int) -> float:
    """Of one clip of so many patches in one step of masked-token prediction."""
    kept = num_kept(patches, stage.masked_tokens.hidden_ratio)
    grid_patches = patches if stage.masked_tokens.positions == "true" else kept
    network = stage.network
    predictor = stage.predictor.layers * block_flop(network, patches)
    to_tokens = 2 * (patches - kept) * network.dim * codebook_size
    forward = encoder_flop(network, kept, grid_patches=grid_patches) + predictor + to_tokens
    return TRAINING_PASSES * stage.masked_tokens.masks_per_clip * forward + fbank_flop(patches)


def tokenizer_training_flop(
    stage: TokenizerStageConfig, patches: int, *, teacher: EncoderConfig
) -> float:
    """Of one clip of so many patches in one step of a tokenizer's training."""
    estimator_layers = stage.distillation.estimator_layers
    estimator = replace(stage.network, layers=estimator_layers)
    from_codes = 2 * patches * stage.codebook.codebook_dim * stage.network.dim
    trained = (
        _named_patches_flop(stage, patches)
        + from_codes
        + estimator_layers * block_flop(estimator, patches)
    )
    return TRAINING_PASSES * trained + encoder_flop(teacher, patches) + fbank_flop(patches)


def finetuning_flop(network: EncoderConfig, patches: int, *, kept_share: float) -> float:
    """Of one clip in one step of fine-tuning, a share of its patches kept; without the head."""
    kept = max(1, round(kept_share * patches))
    return TRAINING_PASSES * encoder_flop(network, kept, grid_patches=patches) + fbank_flop(patches)


def tokenize_flop(tokenizer: TokenizerStageConfig | RandomProjectionConfig, patches: int) -> float:
    """Of naming the patches of one clip."""
    if isinstance(tokenizer, RandomProjectionConfig):
        values, dim = tokenizer.patch_size**2, tokenizer.codebook_dim
        return 2 * patches * dim * (values + tokenizer.codebook_size) + fbank_flop(patches)
    return _named_patches_flop(tokenizer, patches) + fbank_flop(patches)


def probe_flop(network: EncoderConfig, patches: int) -> float:
    """Of one clip's vectors."""
    return encoder_flop(network, patches) + fbank_flop(patches)


def encoder_flop(config: EncoderConfig, patches: int, *, grid_patches: int | None = None) -> float:
    """Forward pass over `patches`, convolutional positions over the whole grid."""
    grid = patches if grid_patches is None else grid_patches
    patch_embed = 2 * patches * config.patch_dim * (config.patch_size**2 + config.dim)
    conv = 2 * grid * config.conv_pos_kernel * config.dim**2 / config.conv_pos_groups
    return patch_embed + conv + config.layers * block_flop(config, patches)


def block_flop(config: EncoderConfig, patches: int) -> float:
    """Forward pass of one transformer block."""
    linear = 4 * config.dim**2 + 2 * config.dim * config.ffn_dim
    return 2.0 * patches * linear + 4.0 * patches**2 * config.dim


def fbank_flop(patches: int) -> float:
    """Spectra and mel bands of the frames behind the patches."""
    frames = patches * PATCH_FRAMES * PATCH_FRAMES / MEL_BINS
    return 2.0 * frames * (2 * FFT_BINS * FRAME_LENGTH + FFT_BINS * MEL_BINS)


def _named_patches_flop(stage: TokenizerStageConfig, patches: int) -> float:
    dim, codebook = stage.network.dim, stage.codebook
    head = 2 * patches * dim * (dim + codebook.codebook_dim)
    nearest = 2 * patches * codebook.codebook_dim * codebook.codebook_size
    return encoder_flop(stage.network, patches) + head + nearest
