"""Audio → audio through a network, in bounded memory."""
