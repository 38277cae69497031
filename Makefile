# The same commands as in bin/, for those who like make. Arguments: make demo ARGS="--data DIR"
BIN := .venv/bin
COMPILE = "$$(bin/_setup uv)" pip compile --quiet --universal --python-version 3.10 --no-header \
	--no-emit-index-url --no-emit-find-links

.PHONY: demo test down check formatted linted typed sql_linted layered chaos bench format lock ready

demo:
	@bin/demo $(ARGS)

test:
	@bin/test $(ARGS)

down:
	@bin/down

# Everything that can be said about the code without running it, on two processors.
check: ready
	@$(MAKE) --no-print-directory --jobs=2 formatted linted typed sql_linted layered

formatted:
	$(BIN)/ruff format --check .

linted:
	$(BIN)/ruff check .

typed:
	$(BIN)/pyright

sql_linted:
	$(BIN)/sqlfluff lint --disable-progress-bar include/sql examples

layered:
	$(BIN)/lint-imports

# Kills, freezes and misleads senders at random and counts what arrived (docs/reference/chaos.md). Arguments:
# make chaos ARGS="--messages 20000 --kills 40 --stops 4"
chaos: ready
	@$(BIN)/python -m bench.chaos $(ARGS)

# How fast ours is beside the loops most people write. Arguments: make bench ARGS="--only plan --people 100000"
bench: ready
	@$(BIN)/python -m bench $(ARGS)

format: ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Pins every package anew; LOCK="--upgrade" takes the newest releases, without it only what changed in the .in files.
lock:
	$(COMPILE) $(LOCK) requirements.in --output-file requirements.txt >/dev/null
	$(COMPILE) $(LOCK) requirements-server.in --output-file requirements-server.txt >/dev/null
	$(COMPILE) $(LOCK) requirements-dev.in --output-file requirements-dev.txt >/dev/null

ready:
	@bin/_setup dev
