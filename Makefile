# make setup: the virtual environment      make demo: the whole chain on a small example
# make test: lint and tests                make bench: the measurements of docs/benchmarks.md
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
DEMO := demo

.PHONY: setup demo test bench clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.txt requirements-dev.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 or newer is needed; make PYTHON=python3.12 …')"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade pip
	$(VENV)/bin/pip install --quiet -r requirements-dev.txt
	touch $@

# Twelve short pieces with the built-in tones, and a narrow network: a few minutes on two cores. With seed 9 the melody
# is the piece that is kept for validation.
demo: setup
	$(RUN) docs/examples/write_pieces.py --midi_path $(DEMO)/midi
	$(RUN) render_notes.py --builtin --nsynth_path $(DEMO)/notes --instruments keyboard_acoustic=0 guitar_acoustic=24
	$(RUN) synthesize_audios.py --nsynth_path $(DEMO)/notes --midi_path $(DEMO)/midi --audios_path $(DEMO)/audios \
		--instruments keyboard_acoustic guitar_acoustic
	$(RUN) compute_features.py --audios $(DEMO)/audios --features $(DEMO)/features
	$(RUN) train.py --dataset_path $(DEMO)/features --origin keyboard_acoustic --target guitar_acoustic \
		--base_filters 16 --batch_size 4 --epochs 15 --gen_lr 1e-3 --disc_lr 2e-4 --seed 9 \
		--models_path $(DEMO)/models --output_path $(DEMO)/output
	$(RUN) predict.py --model $(DEMO)/models/keyboard_acoustic_2_guitar_acoustic --overwrite \
		--input $(DEMO)/audios/keyboard_acoustic/melody.wav --output $(DEMO)/melody_as_guitar.wav
	@echo "listen: $(DEMO)/audios/keyboard_acoustic/melody.wav, then $(DEMO)/melody_as_guitar.wav"
	@echo "look: $(DEMO)/output/keyboard_acoustic_2_guitar_acoustic/015/spectrogram.png"

test: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(RUN) -m pytest

bench: demo
	$(RUN) benchmarks/bench_help.py
	$(RUN) benchmarks/bench_data.py
	$(RUN) benchmarks/bench_training.py
	$(RUN) benchmarks/bench_joins.py
	$(RUN) benchmarks/bench_predict.py

clean:
	rm -rf $(DEMO) .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
