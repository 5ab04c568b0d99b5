# Every verb of kd_monai. `make` prints them; variables go behind the verb: make student MODALITY=flair FOLD=1
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# --- variables: empty ones leave the bundle's own value ------------------------------------------
DATA ?=#                folder of subjects, or a datalist JSON (default: the phantom)
LABELS ?=#              label convention: auto, brats2018, brats2023, brats2024, msd
MODALITY ?=#            what the student reads: t1, t1ce, t2, flair, or a '-'-joined subset (t1ce)
TEACHER_MODALITIES ?=#  what the teacher reads (t1-t1ce-t2-flair)
METHOD ?=#              baseline, kdnet, hinton, ...: a file of the student's configs/methods (kdnet)
NETWORK ?=#             basicunet, dynunet, segresnet, multiresunet, swinunetr, unet (basicunet)
TEACHER_NETWORK ?=#     the teacher's own (NETWORK)
RECIPE ?=#              paper, study, quick (quick)
FOLD ?=#                test fold, or all (0)
FOLDS ?=#               number of folds (3)
SPLIT ?=#               split.json of an earlier run
SEED ?=#                random seed (0)
EPOCHS ?=#              epochs, in place of the recipe's
N_SUBJECTS ?=#          training subjects, a nested subset
DEVICE ?=#              cpu, cuda (cuda where there is one)
CACHE ?=#               memory, disk (memory)
OUT ?= runs#            where runs are written
FORCE ?=#               1 does again what is done
TEACHER ?=#             run folder of a teacher, in place of training one
TEACHERS ?=#            single; crossfit: each subject is taught by a teacher that has not seen it (single)
UNLABELLED ?=#          folder of subjects without references, which the teacher labels; rest: what N_SUBJECTS leaves out
INIT ?=#                random; teacher: the student starts from its weights (random)
NOTE ?=#                file that is told the folder of the run
MODALITIES ?=#          study: what students read, joined by ',' (t1,t1ce,t2,flair)
METHODS ?=#             study, choose: methods joined by ',', stacked ones by '+' (baseline,kdnet); FOLD, SEEDS, N_SUBJECTS are lists too
SEEDS ?=#               study: random seeds (0)
TEACHER_N_SUBJECTS ?=#  study: same trains teachers on their students' N_SUBJECTS (all)
JOBS ?=#                study: cells at once, which share the processor or GPU (1)
SCHEDULER ?=#           study: local, slurm, or submitit: jobs as slurm's, on this machine (local)
SLURM ?=#               study: name=value of submitit, several with a space between: slurm_partition=gpu gpus_per_node=1
SET ?=#                 id=value of the bundle's configuration, several with a space between: width=12 learning_rate=0.001
TEACHER_SET ?=#         the same for the teacher alone, over SET
INPUT ?=#               predict: a NIfTI file, or a folder
RUN ?=#                 predict, evaluate: run folder of the student (or teacher)
PROBABILITIES ?=#       predict: 1 writes probabilities of TC, WT, ET
CHECK_SKULL_STRIPPED ?=#  predict: False leaves the check out
PREDICTIONS ?= predictions#  predict: where label maps are written
README ?=#              report: a Markdown file whose results are written anew, for example README.md
PACK ?=#                pack, unpack: the text file of the runs (.xz: compressed)
PORT ?= 5000#           mlflow: port on 127.0.0.1
TEST_JOBS ?= 2#         test: processes at once, a thread each
ONLY ?=#                bench: names of benchmarks joined by ',' (all but method_cost and precision_seeds)
SIZE ?= full#           bench: full, or tiny: does it work at all
SUBJECTS ?= 30#         phantom: how many subjects
SPACING_MM ?= $(if $(filter paper,$(RECIPE)),1,2)#  phantom: 1 or 2
# as many as are asked for: another number is another folder
PHANTOM ?= data/phantom-$(SPACING_MM)mm$(if $(filter-out 30,$(SUBJECTS)),-$(strip $(SUBJECTS)))#  phantom: where it is written

# --- the environment -----------------------------------------------------------------------------
PYTHON ?= python3
VENV ?= .venv
# torch's wheel index. Empty: pip's own, where Linux gets the CUDA build, several GB; the CPU build is 0.8 GB and .venv then 3.1 GB:
# TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
TORCH_INDEX_URL ?=
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Name another: make PYTHON=python3.12" >&2; exit 1; }
	$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install -q --upgrade pip
	$(PY) -m pip install -q --no-compile -c constraints.txt $(if $(TORCH_INDEX_URL),--no-deps --index-url $(TORCH_INDEX_URL)) torch
	$(PY) -m pip install -q --no-compile -c constraints.txt -e '.[test,fast]'
	@touch $@

# A thread that waits for the others looks out for them some 0.1 ms and then sleeps. Where it sleeps at once a step takes a quarter to a third
# longer alone, where it looks out for long (GNU's default) half again to four times as long beside one other busy process; this costs a fifth
# there. The count goes before the policy, which runtimes other than GNU's read. Figures: benchmarks/README.md
export OMP_WAIT_POLICY ?= PASSIVE
export GOMP_SPINCOUNT ?= 5000
# Large buffers in huge pages; freed ones below 32 MiB stay with the process: else the kernel clears up to 17000 pages in a student's step.
# To keep all of them took 40 % more memory with patches of 128^3
export THP_MEM_ALLOC_ENABLE ?= 1
export GLIBC_TUNABLES ?= glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=8589934592
export MLFLOW_DISABLE_TELEMETRY ?= true
# imports write the bytecode that an installation does not (a minute); without it every process would compile MONAI anew
unexport PYTHONDONTWRITEBYTECODE

# --- a misspelt variable would train with the default --------------------------------------------
ifneq ($(MAKEOVERRIDES),)
KNOWN := $(shell sed -nE 's/^(export )?([A-Z_]+) [?]=.*/\2/p' '$(firstword $(MAKEFILE_LIST))')
# what programs read from the environment
OTHERS := SHELL TRACKING KD_MONAI_% MLFLOW_% OMP_% GOMP_% GLIBC_% MALLOC_% THP_% MKL_% KMP_% CUDA_% PYTORCH_% PYTHON% PIP_% HTTP% http%
blank := $(subst ,, )
names = $(foreach word,$(subst \$(blank),-,$(1)),$(patsubst %:,%,$(firstword $(subst =,$(blank),$(word)))))
UNKNOWN := $(filter-out $(KNOWN) $(OTHERS),$(call names,$(MAKEOVERRIDES)))
$(if $(UNKNOWN),$(error A variable must be one of $(KNOWN); got $(UNKNOWN). Correct its name))
endif

# --- what the verbs share ------------------------------------------------------------------------
GIVEN_DATA := $(strip $(DATA))
NEEDS := $(INSTALLED) $(if $(GIVEN_DATA),,$(PHANTOM)/.complete)
lower = $(shell echo $(1) | tr 'A-Z_' 'a-z-')
option = $(if $(strip $($(1))),--$(call lower,$(1)) '$(strip $($(1)))')
DATA := $(or $(strip $(DATA)),$(PHANTOM))
options = $(strip $(foreach name,$(1),$(call option,$(name))))
settings = $(foreach pair,$(SET),--set '$(pair)') $(foreach pair,$(TEACHER_SET),--teacher-set '$(pair)')
training = $(strip $(call options,$(TRAINING)) $(settings))
# eight subjects of full size
BENCH_PHANTOM := data/phantom-1mm-8
BENCH_DATA := $(or $(GIVEN_DATA),$(BENCH_PHANTOM))
WRITE_PHANTOM = $(PY) pipelines/phantom.py --out '$(PHANTOM)' --subjects $(SUBJECTS) --spacing-mm $(SPACING_MM) && touch '$(PHANTOM)/.complete'
TRAINING := DATA LABELS MODALITY TEACHER_MODALITIES METHOD NETWORK TEACHER_NETWORK RECIPE FOLD FOLDS SPLIT SEED EPOCHS N_SUBJECTS DEVICE CACHE OUT FORCE TEACHER TEACHERS UNLABELLED INIT NOTE
# a study gives each of its runs the rest
STUDY := $(filter-out MODALITY METHOD SEED TEACHER FORCE NOTE,$(TRAINING)) MODALITIES METHODS SEEDS TEACHER_N_SUBJECTS JOBS SCHEDULER SLURM
EVALUATE := OUT RUN DEVICE
COMPARE := OUT MODALITY
REPORT := OUT README
CHOOSE := OUT METHODS
PACKED = $(call options,OUT) --file '$(or $(strip $(PACK)),$(error make $(MAKECMDGOALS) wants PACK, the text file of the runs))'
PREDICT := RUN INPUT LABELS DEVICE
SERVE := OUT PORT
BENCH := OUT ONLY SIZE DEVICE

# --- phantoms would be written for minutes before a misspelt folder is refused --------------------
ifneq ($(filter bench,$(MAKECMDGOALS)),)
$(if $(GIVEN_DATA),$(if $(shell test -e '$(GIVEN_DATA)' && echo there),,$(error DATA must be a folder of full-size subjects; $(GIVEN_DATA) does not exist. Correct it, or leave it out)))
endif

# --- a variable of another verb would change nothing ----------------------------------------------
ifneq ($(MAKEOVERRIDES),)
WRITTEN := SUBJECTS SPACING_MM PHANTOM
TAKES_teacher := $(TRAINING) SET TEACHER_SET $(WRITTEN)
TAKES_baseline := $(TAKES_teacher)
TAKES_student := $(TAKES_teacher)
TAKES_demo := $(TAKES_teacher)
TAKES_study := $(STUDY) SET TEACHER_SET $(WRITTEN)
TAKES_evaluate := $(EVALUATE) DATA FORCE
TAKES_compare := $(COMPARE)
TAKES_report := $(REPORT)
TAKES_choose := $(CHOOSE)
TAKES_pack := OUT PACK
TAKES_unpack := OUT PACK
TAKES_predict := $(PREDICT) PREDICTIONS PROBABILITIES CHECK_SKULL_STRIPPED
TAKES_mlflow := $(SERVE)
TAKES_phantom := $(WRITTEN) RECIPE
TAKES_bench := $(BENCH) DATA $(WRITTEN)
TAKES_test := TEST_JOBS
TAKEN := $(foreach goal,$(MAKECMDGOALS),$(TAKES_$(goal)))
STRANGE := $(filter-out $(TAKEN) PYTHON VENV TORCH_INDEX_URL $(OTHERS),$(call names,$(MAKEOVERRIDES)))
$(if $(and $(TAKEN),$(STRANGE)),$(error make $(MAKECMDGOALS) takes $(TAKEN); got $(STRANGE), which would change nothing. Leave it out, or see whose it is: make))
endif

.PHONY: help install demo teacher baseline student study evaluate compare report choose pack unpack predict mlflow phantom verify-bundles bench test lint
help: ## print the verbs and the variables
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nVariables stand behind the verb: make student MODALITY=flair FOLD=1 (default in brackets)\n'
	@sed -nE 's/^([A-Z_]+) [?]=.*#  *(.*)/\1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{printf "  %-20s %s\n", $$1, $$2}'
install: $(INSTALLED) ## make the environment in .venv
demo: $(NEEDS) ## phantom, teacher, baseline, student, one table: at most 15 minutes on two cores
	$(PY) pipelines/demo.py $(training)
teacher: $(NEEDS) ## train and score the multi-modal teacher
	$(PY) pipelines/teacher.py $(training)
baseline: $(NEEDS) ## train and score the mono-modal baseline
	$(PY) pipelines/baseline.py $(training)
student: $(NEEDS) ## train and score the mono-modal student, and its teacher if there is none
	$(PY) pipelines/student.py $(training)
study: $(NEEDS) ## a grid of METHODS, MODALITIES, folds and SEEDS with their teachers, in one table; the same command continues it
	$(PY) pipelines/study.py $(strip $(call options,$(STUDY)) $(settings))
evaluate: $(INSTALLED) ## score finished runs under OUT that have no scores yet (FORCE=1: all), or RUN=folder
	$(PY) pipelines/evaluate.py $(strip $(call options,$(EVALUATE)) $(if $(GIVEN_DATA),--data '$(GIVEN_DATA)') $(if $(strip $(FORCE)),--force))
compare: $(INSTALLED) ## teacher, baseline and student side by side: a table and OUT/comparison.csv
	$(PY) pipelines/compare.py $(call options,$(COMPARE))
report: $(INSTALLED) ## the proof: every method against its baseline; OUT/report with tables and figures (README=file: its results)
	$(PY) pipelines/report.py $(call options,$(REPORT))
choose: $(INSTALLED) ## rank METHODS (all) under OUT on the validation parts; no test case is read
	$(PY) pipelines/choose.py $(call options,$(CHOOSE))
pack: $(INSTALLED) ## write the scored runs under OUT into the text file PACK: no weights, no images, no pictures
	$(PY) pipelines/pack.py $(PACKED)
unpack: $(INSTALLED) ## write the runs of PACK into OUT, to be reported there or gone on with
	$(PY) pipelines/unpack.py $(PACKED)
predict: $(INSTALLED) ## segment INPUT with RUN's network; label maps under PREDICTIONS
	$(PY) pipelines/predict.py $(strip $(call options,$(PREDICT)) --out '$(strip $(PREDICTIONS))' $(if $(strip $(PROBABILITIES)),--probabilities) $(if $(strip $(CHECK_SKULL_STRIPPED)),--check_skull_stripped '$(strip $(CHECK_SKULL_STRIPPED))'))
mlflow: $(INSTALLED) ## serve the runs under OUT on 127.0.0.1:PORT
	$(PY) pipelines/serve.py $(call options,$(SERVE))
phantom: $(INSTALLED) ## write the phantom data set
	$(WRITE_PHANTOM)
$(PHANTOM)/.complete: | $(INSTALLED)
	$(WRITE_PHANTOM)
verify-bundles: $(INSTALLED) ## MONAI's own checks of both bundles, offline
	$(PY) pipelines/verify_bundles.py
bench: $(INSTALLED) $(PHANTOM)/.complete $(if $(GIVEN_DATA),,$(BENCH_PHANTOM)/.complete) ## what a step, a case, a cache and a prediction cost; DATA: full-size subjects
	$(PY) benchmarks/run.py --data '$(BENCH_DATA)' --small-data '$(PHANTOM)' $(call options,$(BENCH))
$(BENCH_PHANTOM)/.complete: | $(INSTALLED)
	$(PY) pipelines/phantom.py --out '$(BENCH_PHANTOM)' --subjects 8 --spacing-mm 1 && touch $@
test: $(INSTALLED) ## the tests; real cases where KD_MONAI_BRATS names a folder
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder
lint: $(INSTALLED) ## ruff, mypy and the import rule
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_imports.py
