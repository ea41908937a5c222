"""What a frozen encoder knows: linear probes, nearest neighbours and retrieval on its vectors."""
