"""Even upsampling: kernels that cannot draw a checkerboard (`--balanced_upsampling`)."""

import keras


class Balanced(keras.constraints.Constraint):
    """Keep a transposed convolution 4 × 4 with stride 2 from drawing a checkerboard.

    Each pixel of the result is computed by 2 × 2 of the 16 weights: one of four sets, by its row and its column, odd or
    even. If the sets have different sums, an even image becomes a pattern with a period of two pixels, and of 4 to 256
    pixels through the layers that follow (Odena et al. 2016, doi.org/10.23915/distill.00003). After each step of the
    optimizer, the sums are made equal by the smallest change. Such kernels include those of a resize to the nearest
    neighbor and a convolution 3 × 3.
    """

    def __call__(self, kernel: keras.KerasTensor) -> keras.KerasTensor:
        """Return the nearest kernel (4, 4, n_out, n_in) whose four sets have equal sums."""
        sets = keras.ops.reshape(kernel, (2, 2, 2, 2, *kernel.shape[2:]))  # (…, row % 2, …, column % 2, n_out, n_in)
        sums = keras.ops.sum(sets, axis=(0, 2), keepdims=True)
        surplus = sums - keras.ops.mean(sums, axis=(1, 3), keepdims=True)
        return keras.ops.reshape(sets - surplus / 4, kernel.shape)


def balance(network: keras.Model) -> None:
    """Make all kernels of a network that double an image `Balanced`, now and after each step of an optimizer."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2DTranspose):
            layer.kernel.constraint = Balanced()
            layer.kernel.assign(layer.kernel.constraint(layer.kernel))
