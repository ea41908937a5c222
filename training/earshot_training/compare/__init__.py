"""The same fine-tuning from several starts: what each start is worth."""
