"""The loop of BEATs: tokenizer and encoder in turn until they have converged, and its report."""
