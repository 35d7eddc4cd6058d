"""Audio → slice files → batches. Knows no network."""
