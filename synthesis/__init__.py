"""MIDI × single notes → audio. Knows no TensorFlow."""
