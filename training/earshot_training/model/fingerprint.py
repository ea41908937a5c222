"""Hash of a network: of what it is and of all its weights."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import nn


def network_sha256(module: nn.Module, recipe: Mapping[str, Any]) -> str:
    """Hash of the recipe (sizes and whatever else decides the output) and the state dict."""
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
