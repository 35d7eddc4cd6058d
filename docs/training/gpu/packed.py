"""What the programs here agree on: how notes and weights are stored, and what all trainings have in common."""

RATE = 25_200  # Hz; the networks see up to 11 kHz
SECONDS = 3.2
VELOCITIES = 25, 50, 75
PITCHES = range(30, 101)
TARGETS = "guitar_acoustic", "string_acoustic", "synth_lead_synthetic"
PHASE_ITERATIONS = 8  # of predict.py, by default
FILTERS = 16  # of the first layer of generators
EMA = 0.999


def layer_weights(network):
    """Return the weights of a Keras model: dict of `<layer>/<index>` to array."""
    return {f"{layer.name}/{i}": weight for layer in network.layers for i, weight in enumerate(layer.get_weights())}
