"""Recordings to waveforms, waveforms to the log-mel filterbank."""
