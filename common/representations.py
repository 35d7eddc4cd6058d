"""How a network that predicts a phase beside the magnitude sees it: names, and channels of its images."""

PHASES_AS_CHANNELS = ("derivatives", "angle", "rotation")  # choices of --phase of the train scripts, besides none

# Channels of an input image and of the output; the first one is the log-magnitude.
_N_CHANNELS = {"angle": (3, 3), "derivatives": (5, 5), "rotation": (5, 3)}
_PLAIN = (1, 1)


def n_channels(representation: str | None) -> tuple[int, int]:
    """Return the channels of each input image and of the output; of None, those of the magnitude alone."""
    return _N_CHANNELS[representation] if representation else _PLAIN


def of_channels(n_in: int, n_out: int) -> str | None:
    """Return the representation of a network by its channels; None for one of the magnitude alone.

    Args:
        n_in: channels of each input image.
        n_out: channels of the output.

    Raises:
        ValueError: if no network of this project has such channels.
    """
    if (n_in, n_out) == _PLAIN:
        return None
    for representation, channels in _N_CHANNELS.items():
        if channels == (n_in, n_out):
            return representation
    raise ValueError(f"{n_in} channels in and {n_out} out are not those of a generator")


def of_kernels(n_seen: int, n_out: int) -> tuple[int, str | None]:
    """Find how many images a generator takes, and their representation.

    Args:
        n_seen: channels that the first layer sees, of all images together.
        n_out: channels of the output.

    Returns:
        The number of images, 0 if no generator has such channels, and the representation; None for one of the magnitude
        alone.
    """
    for n_inputs in (1, 2):
        for representation in (None, *PHASES_AS_CHANNELS):
            n_in, expected = n_channels(representation)
            if (n_inputs * n_in, expected) == (n_seen, n_out):
                return n_inputs, representation
    return 0, None
