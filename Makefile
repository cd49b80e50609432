# The commands people type. Each installs what it needs, skips what is done, and says what takes long.
PYTHON := .venv/bin/python
UNIT := unit-trainer-rollout unit-api-data-operator-cli-examples unit-others
INTEGRATION := integration-sandbox-api-operator integration-trainer integration-rollout-evaluation-data \
	integration-others
E2E := e2e-run-with-faults e2e-others
ROOMS := api data operator trainer rollout sandbox evaluation cli dev tests examples docs images benchmarks
export KUBECONFIG := $(CURDIR)/build/cluster/kubeconfig
# Some machines set it; then each of the many processes of a test run compiles all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-seeds attacks machine test check lint types format unit $(UNIT) integration $(INTEGRATION) e2e $(E2E) cluster down images environment crds bench-sandbox bench-evaluation bench-trainer load-sandbox kill-trainer ablation gpu-check

help:
	@echo "make demo        a better model, trained on a real cluster on this machine, from nothing (root, Debian, Go)"
	@echo "make test        lint, unit, integration and end-to-end tests"
	@echo "make check       lint, types and unit tests: before every commit"
	@echo "make attacks     programs that attack the grading sandbox, on a real pod in gVisor: what is contained"
	@echo "make load-sandbox  10 minutes of grading under load, hostile programs and killed servers (root)"
	@echo "make kill-trainer  a training run whose parts are killed and starved, and the account of its prompts (root)"
	@echo "make ablation    GRPO+'s parts on and off on the quickstart, three seeds, one plot; an hour or two (root)"
	@echo "make cluster     the one-node Kubernetes;  make images  builds and pushes;  make down  takes all away"
	@echo "make gpu-check   the trainer on this machine's GPU: right, how fast, how much memory; exit code 3 without one"
	@echo "make bench-sandbox   what grading costs, beside how others do it; about 12 minutes on two quiet cores (root)"
	@echo "make bench-evaluation  what the evaluator costs beside the engine; about 5 minutes on two quiet cores (root)"
	@echo "make bench-trainer   training beside TRL, overlap, what steps wait for; hours on two quiet cores (root)"

environment:
	@python3 dev/environment.py

cluster:
	@python3 dev/cluster.py up

down:
	@python3 dev/cluster.py down

images: environment cluster
	@python3 dev/images.py build --push

demo:
	@python3 dev/prepare.py
	@$(PYTHON) dev/demo.py

demo-seeds:
	@python3 dev/prepare.py
	@$(PYTHON) dev/demo.py --seeds 0 1 2

attacks:
	@python3 dev/prepare.py
	@$(PYTHON) dev/attacks.py

# What the machine lacks for the last part is told before the first.
machine:
	@python3 dev/machine.py

test: machine check integration e2e

check: lint
	@$(MAKE) --no-print-directory --jobs=4 types $(UNIT)

lint: environment
	@$(PYTHON) -m ruff format --check $(ROOMS)
	@$(PYTHON) -m ruff check $(ROOMS)
	@.venv/bin/deepcoder crds --output crds --check
	@.venv/bin/deepcoder crds --output charts/deepcoder-operator/files/crds --check

types: environment
	@$(PYTHON) -m pyright

# Three parts side by side, about as long as each other; whatever imports torch is in the first.
unit: environment
	@$(MAKE) --no-print-directory --jobs=3 $(UNIT)

unit-trainer-rollout: environment
	@$(PYTHON) -m pytest tests/unit/trainer tests/unit/rollout -q

unit-api-data-operator-cli-examples: environment
	@$(PYTHON) -m pytest tests/unit/api tests/unit/data tests/unit/operator tests/unit/cli \
		tests/unit/examples -q

unit-others: environment
	@$(PYTHON) -m pytest tests/unit --ignore tests/unit/data --ignore tests/unit/trainer --ignore tests/unit/rollout \
		--ignore tests/unit/api --ignore tests/unit/operator --ignore tests/unit/cli --ignore tests/unit/examples -q

# Four parts side by side: much of each is waiting for what others' processes do.
integration: environment
	@python3 dev/toolchain.py
	@$(MAKE) --no-print-directory --jobs=4 $(INTEGRATION)

integration-sandbox-api-operator:
	@$(PYTHON) -m pytest tests/integration/sandbox tests/integration/api tests/integration/chart \
		tests/integration/operator tests/integration/dev -q -m "not cluster"

integration-trainer:
	@$(PYTHON) -m pytest tests/integration/trainer -q -m "not cluster"

integration-rollout-evaluation-data:
	@$(PYTHON) -m pytest tests/integration/rollout tests/integration/evaluation tests/integration/data \
		-q -m "not cluster"

integration-others:
	@$(PYTHON) -m pytest tests/integration --ignore tests/integration/sandbox --ignore tests/integration/api \
		--ignore tests/integration/chart --ignore tests/integration/operator --ignore tests/integration/dev \
		--ignore tests/integration/trainer --ignore tests/integration/rollout --ignore tests/integration/evaluation \
		--ignore tests/integration/data -q -m "not cluster"

# Two parts side by side on one cluster, each with resources of its own.
e2e:
	@python3 dev/prepare.py
	@$(MAKE) --no-print-directory --jobs=2 $(E2E)

e2e-run-with-faults:
	@$(PYTHON) -m pytest tests/e2e/test_e2e_run_with_faults.py -q -m cluster

e2e-others:
	@$(PYTHON) -m pytest tests/e2e --ignore tests/e2e/test_e2e_run_with_faults.py -q -m cluster

bench-sandbox: environment
	@python3 dev/toolchain.py
	@$(PYTHON) -m benchmarks.sandbox $(BENCH)

bench-evaluation: environment
	@python3 dev/toolchain.py
	@$(PYTHON) -m benchmarks.evaluation $(BENCH)

bench-trainer: environment
	@python3 dev/toolchain.py
	@$(PYTHON) -m benchmarks.trainer $(BENCH)

gpu-check: environment
	@$(PYTHON) -m benchmarks.gpu_check $(CHECK)

load-sandbox: environment
	@python3 dev/toolchain.py
	@$(PYTHON) -m benchmarks.sandbox_load

kill-trainer: environment
	@python3 dev/toolchain.py
	@$(PYTHON) -m benchmarks.trainer_kills $(KILL)

ablation: environment
	@python3 dev/toolchain.py
	@$(PYTHON) -m benchmarks.ablation $(ABLATION)

format: environment
	@$(PYTHON) -m ruff format $(ROOMS)
	@$(PYTHON) -m ruff check --fix $(ROOMS)

crds: environment
	@.venv/bin/deepcoder crds --output crds
	@.venv/bin/deepcoder crds --output charts/deepcoder-operator/files/crds
