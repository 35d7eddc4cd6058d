"""Audio for the tests, and functions that stand for a network."""

import numpy as np

RATE = 44_100


def music(seconds, rate=RATE, channels=1, level=0.2, seed=0):
    """Decaying chords over a little noise: float32 array [shape=(n_channels, n_samples)]."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    audio = 0.002 * rng.standard_normal((channels, len(time)))
    for start in np.arange(0, seconds, 0.5):
        for frequency in rng.choice([196, 262, 330, 392, 523, 1047], 3):
            part = slice(round(start * rate), round((start + 4) * rate))  # 4 s later it is at -104 dB
            tone = np.exp(-3 * (time[part] - start)) * np.sin(2 * np.pi * frequency * time[part])
            audio[:, part] += level / 3 * rng.uniform(0.5, 1, (channels, 1)) * tone
    return audio.astype(np.float32)


def cut(audio, size):
    """Audio in blocks of `size` samples."""
    return (audio[:, start : start + size] for start in range(0, audio.shape[1], size))


def identity(images):
    """A network that changes nothing."""
    return images


def blur(images):
    """A network whose output differs from its input and depends on the neighborhood."""
    return np.tanh(images + 0.3 * np.roll(images, 3, axis=1) + 0.2 * np.roll(images, 2, axis=2)).astype(np.float32)
