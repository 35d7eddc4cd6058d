# make setup: the virtual environment      make demo: a melody converted by a shipped model, to listen and look
# make test: lint and all tests            make pipeline: everything from notes to audio, training included, small
# make test-fast: the quick unit tests     make bench: the measurements of docs/benchmarks.md
# make web: the page in the browser, for a host and as a single file
PYTHON ?= python3
VENV ?= .venv
LIGHT ?= .venv-predict
RUN := $(VENV)/bin/python
DEMO := demo
PIPELINE := demo/pipeline
MODEL := keyboard_acoustic_2_guitar_acoustic
EXAMPLES := docs/examples
DEMO_RECORDINGS = keyboard=$(EXAMPLES)/keyboard_acoustic/melody.wav prediction=$(DEMO)/melody_as_guitar.wav \
	guitar=$(EXAMPLES)/guitar_acoustic/melody.wav
# Two test processes: one a core on a small machine, and more would compete for memory on a large one.
# The files of tests/scripts/ come first, as pytest collects them: short ones at the end leave no process waiting.
PYTEST := $(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# WEB_MODELS: the models of the page, by default all in pretrained/. The single file has MODEL alone.
WEB_MODELS ?=

.PHONY: setup demo web pipeline lint test test-fast bench faults clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.txt requirements-dev.txt requirements-tensorboard.txt requirements-dask.txt \
		requirements-notes.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 or newer is needed; make PYTHON=python3.12 …')"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade pip
	$(VENV)/bin/pip install --quiet -r requirements-dev.txt
	$(VENV)/bin/pip install --quiet --no-deps 'basic-pitch>=0.4,<0.5'
	touch $@

# What the demo needs, without TensorFlow, is installed in a fifth of the time. What it uses is compiled when it runs.
$(LIGHT)/.ready: requirements-predict.txt requirements.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 or newer is needed; make PYTHON=python3.12 …')"
	$(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/pip install --quiet --no-compile -r requirements-predict.txt "$$(grep '^matplotlib' requirements.txt)"
	touch $@

demo: $(LIGHT)/.ready
	$(LIGHT)/bin/python predict.py --model $(MODEL) --overwrite --input $(EXAMPLES)/keyboard_acoustic/melody.wav \
		--output $(DEMO)/melody_as_guitar.wav
	$(LIGHT)/bin/python $(EXAMPLES)/draw_spectrograms.py --output $(DEMO)/melody.png $(DEMO_RECORDINGS)
	$(LIGHT)/bin/python $(EXAMPLES)/write_page.py --output $(DEMO)/melody.html --picture $(DEMO)/melody.png \
		--title "A keyboard as a guitar" $(DEMO_RECORDINGS)
	@echo "listen: $(EXAMPLES)/keyboard_acoustic/melody.wav, then $(DEMO)/melody_as_guitar.wav"
	@echo "look: $(DEMO)/melody.png"
	@echo "both, beside the true guitar: $(DEMO)/melody.html"
	@echo "your own recordings in the browser, and live: make web"

web/node_modules/.package-lock.json: web/package-lock.json
	npm --prefix web ci --ignore-scripts
	touch $@

web: $(LIGHT)/.ready web/node_modules/.package-lock.json
	$(LIGHT)/bin/python web/write_assets.py --output web/assets $(if $(WEB_MODELS),--models $(WEB_MODELS))
	npm --prefix web run --silent build -- --single $(MODEL)
	@echo "open: web/dist/timbre_transfer.html"
	@echo "or put web/dist/hosted on any static host"

# Twelve short pieces with the built-in tones, and a narrow network: a few minutes on two cores. With seed 9 the melody
# is the validation piece.
pipeline: setup
	$(RUN) docs/examples/write_pieces.py --midi_path $(PIPELINE)/midi
	$(RUN) render_notes.py --builtin --nsynth_path $(PIPELINE)/notes --instruments keyboard_acoustic=0 guitar_acoustic=24
	$(RUN) synthesize_audios.py --nsynth_path $(PIPELINE)/notes --midi_path $(PIPELINE)/midi \
		--audios_path $(PIPELINE)/audios --instruments keyboard_acoustic guitar_acoustic
	$(RUN) compute_features.py --audios $(PIPELINE)/audios --features $(PIPELINE)/features
	$(RUN) train.py --dataset_path $(PIPELINE)/features --origin keyboard_acoustic --target guitar_acoustic \
		--base_filters 16 --batch_size 4 --epochs 15 --gen_lr 1e-3 --disc_lr 2e-4 --seed 9 \
		--models_path $(PIPELINE)/models --output_path $(PIPELINE)/output
	$(RUN) predict.py --model $(PIPELINE)/models/keyboard_acoustic_2_guitar_acoustic --overwrite \
		--input $(PIPELINE)/audios/keyboard_acoustic/melody.wav --output $(PIPELINE)/melody_as_guitar.wav
	@echo "listen: $(PIPELINE)/audios/keyboard_acoustic/melody.wav, then $(PIPELINE)/melody_as_guitar.wav"
	@echo "look: $(PIPELINE)/output/keyboard_acoustic_2_guitar_acoustic/015/spectrogram.png"

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

test: lint
	$(PYTEST)

test-fast: lint
	$(PYTEST) -m "not slow" tests/unit

bench: pipeline
	$(RUN) benchmarks/bench_help.py
	$(RUN) benchmarks/bench_data.py
	$(RUN) benchmarks/bench_training.py
	$(RUN) benchmarks/bench_joins.py
	$(RUN) benchmarks/bench_predict.py

# Kills, malformed files, full disks, odd names: the table of docs/reliability.md, in about 40 minutes.
faults: setup
	$(RUN) benchmarks/faults/run.py

clean:
	rm -rf $(DEMO) .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -not -path './$(LIGHT)/*' -prune -exec rm -rf {} +
