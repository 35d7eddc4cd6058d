# make setup: the virtual environment      make demo: a melody converted by a shipped model, to listen and look
# make test: lint and tests                make chain: the whole chain, training included, on a small example
#                                          make bench: the measurements of docs/benchmarks.md
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
DEMO := demo
CHAIN := demo/chain
MODEL := keyboard_acoustic_2_guitar_acoustic
EXAMPLES := docs/examples

.PHONY: setup demo chain test bench clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.txt requirements-dev.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 or newer is needed; make PYTHON=python3.12 …')"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade pip
	$(VENV)/bin/pip install --quiet -r requirements-dev.txt
	touch $@

demo: setup
	$(RUN) predict.py --model $(MODEL) --overwrite --input $(EXAMPLES)/keyboard_acoustic/melody.wav \
		--output $(DEMO)/melody_as_guitar.wav
	$(RUN) $(EXAMPLES)/draw_spectrograms.py --output $(DEMO)/melody.png keyboard=$(EXAMPLES)/keyboard_acoustic/melody.wav \
		prediction=$(DEMO)/melody_as_guitar.wav guitar=$(EXAMPLES)/guitar_acoustic/melody.wav
	$(RUN) evaluate.py --model $(MODEL) --audios_path $(EXAMPLES) --output $(DEMO)/evaluation --pieces 1 --excerpt 20 --overwrite
	@echo "listen: $(EXAMPLES)/keyboard_acoustic/melody.wav, then $(DEMO)/melody_as_guitar.wav"
	@echo "look: $(DEMO)/melody.png"
	@echo "both, beside the true guitar: $(DEMO)/evaluation/report.html"

# Twelve short pieces with the built-in tones, and a narrow network: a few minutes on two cores. With seed 9 the melody
# is the piece that is kept for validation.
chain: setup
	$(RUN) docs/examples/write_pieces.py --midi_path $(CHAIN)/midi
	$(RUN) render_notes.py --builtin --nsynth_path $(CHAIN)/notes --instruments keyboard_acoustic=0 guitar_acoustic=24
	$(RUN) synthesize_audios.py --nsynth_path $(CHAIN)/notes --midi_path $(CHAIN)/midi --audios_path $(CHAIN)/audios \
		--instruments keyboard_acoustic guitar_acoustic
	$(RUN) compute_features.py --audios $(CHAIN)/audios --features $(CHAIN)/features
	$(RUN) train.py --dataset_path $(CHAIN)/features --origin keyboard_acoustic --target guitar_acoustic \
		--base_filters 16 --batch_size 4 --epochs 15 --gen_lr 1e-3 --disc_lr 2e-4 --seed 9 \
		--models_path $(CHAIN)/models --output_path $(CHAIN)/output
	$(RUN) predict.py --model $(CHAIN)/models/keyboard_acoustic_2_guitar_acoustic --overwrite \
		--input $(CHAIN)/audios/keyboard_acoustic/melody.wav --output $(CHAIN)/melody_as_guitar.wav
	@echo "listen: $(CHAIN)/audios/keyboard_acoustic/melody.wav, then $(CHAIN)/melody_as_guitar.wav"
	@echo "look: $(CHAIN)/output/keyboard_acoustic_2_guitar_acoustic/015/spectrogram.png"

test: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(RUN) -m pytest

bench: chain
	$(RUN) benchmarks/bench_help.py
	$(RUN) benchmarks/bench_data.py
	$(RUN) benchmarks/bench_training.py
	$(RUN) benchmarks/bench_joins.py
	$(RUN) benchmarks/bench_predict.py

clean:
	rm -rf $(DEMO) .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
