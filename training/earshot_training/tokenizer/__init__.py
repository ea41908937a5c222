"""Tokenizers: patches of a clip -> token ids, the targets of masked-token prediction."""
