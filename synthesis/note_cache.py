"""The notes that pieces are played with, loaded once in each process."""

import hashlib

from common.process_cache import ProcessCache
from synthesis.notes import NoteBank, NoteSynthesizer


def _load(nsynth_path: str, presets: tuple[tuple[str, int], ...]) -> tuple[str, NoteSynthesizer]:
    """Load notes from a folder for (instrument, preset); return the SHA-256 of all samples, and what plays them."""
    bank = NoteBank.load(nsynth_path, dict(presets))
    digest = hashlib.sha256()
    for name, samples in bank.recordings.items():
        digest.update(f"{name} {len(samples)}\n".encode())
        digest.update(samples)
    return digest.hexdigest(), NoteSynthesizer(bank, bank.gains())


SYNTHESIZERS = ProcessCache(_load)
