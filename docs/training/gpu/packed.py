"""What pack.py stores of notes, and train_on_gpu.py expects."""

RATE = 25_200  # Hz; the networks see up to 11 kHz
SECONDS = 3.2
VELOCITIES = 25, 50, 75
PITCHES = range(30, 101)
TARGETS = "guitar_acoustic", "string_acoustic", "synth_lead_synthetic"
PHASE_ITERATIONS = 8  # of predict.py, by default
