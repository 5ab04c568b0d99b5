from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from kd_monai.errors import UserError
from kd_monai.tracking import Tracker

UNREACHABLE = "http://127.0.0.1:9"
PARENT = {"data_digest": "abc", "split_digest": "def", "label_convention": "brats2018", "recipe": "quick"}


def make(
    out: Path, name: str = "kdnet_t1ce", uri: str | None = None, *, required: bool = False, **params: object
) -> Tracker:
    tags = {"role": "student", "method": "kdnet", "modality": "t1ce", "fold": 0, "seed": 1}
    return Tracker(out / name, "brats", name, tags, {"seed": 1, **params}, "study", PARENT, uri, required=required)


def where(folder: Path) -> dict[str, str]:
    return json.loads((folder / "mlflow.json").read_text())


def run_of(client: MlflowClient, folder: Path) -> Run:
    return client.get_run(where(folder)["run_id"])


def history(client: MlflowClient, folder: Path, key: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(where(folder)["run_id"], key)]


def artifacts(client: MlflowClient, folder: Path) -> Path:
    return Path(run_of(client, folder).info.artifact_uri.removeprefix("file://"))


def crash(tracker: Tracker, error: type[BaseException]) -> None:
    tracker.start()
    with pytest.raises(error), tracker:
        raise error


def python(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=os.environ | environment, text=True, stderr=subprocess.PIPE)


def test_a_finished_run_stands_under_its_study_with_tags_keys_and_steps(out: Path, client: MlflowClient) -> None:
    with make(out) as tracker:
        tracker.start()
        tracker.log_metrics({"train/loss": 1.5, "train/loss/latent_kl": 0.1}, 1)
        tracker.log_metrics({"train/loss": 1.0}, 2)
    run = run_of(client, tracker.folder)
    assert run.info.run_name == "kdnet_t1ce"
    assert run.info.status == "FINISHED"
    assert run.data.tags["role"] == "student"
    assert run.data.tags["fold"] == "0"
    assert run.data.params["seed"] == "1"
    assert history(client, tracker.folder, "train/loss") == [(1, 1.5), (2, 1.0)]
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.info.run_name == "study"
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["label_convention"] == "brats2018"


def test_runs_of_one_study_share_the_parent_and_another_study_has_another(out: Path) -> None:
    parents = []
    for name, recipe in (("teacher", "quick"), ("baseline_t1ce", "quick"), ("kdnet_t1ce", "study")):
        with Tracker(out / name, "brats", name, {}, {}, "study", {**PARENT, "recipe": recipe}) as tracker:
            tracker.start()
        parents.append(where(tracker.folder)["parent_run_id"])
    assert parents[0] == parents[1] != parents[2]


KILLED = """
import os, signal, sys
from pathlib import Path
from kd_monai.tracking import Tracker
tracker = Tracker(Path(sys.argv[1]), "brats", "kdnet_t1ce", {}, {"workers": 2}, "study", {})
tracker.start()
tracker.log_metrics({"train/loss": 1.5}, 1)
tracker.log_metrics({"train/loss": 1.0}, 2)
assert tracker.flush(60)
tracker.log_metrics({"train/loss": 0.9}, 3)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_is_continued_and_no_step_is_told_twice(out: Path, client: MlflowClient) -> None:
    folder = out / "kdnet_t1ce"
    assert python(KILLED, folder).wait(120) == -signal.SIGKILL
    first = where(folder)["run_id"]
    assert client.get_run(first).info.status == "RUNNING"
    with Tracker(folder, "brats", "kdnet_t1ce", {}, {"workers": 4}, "study", {}) as tracker:
        tracker.start()
        tracker.log_metrics({"train/loss": 1.0}, 2)  # the epoch after the last checkpoint is trained again
        tracker.log_metrics({"train/loss": 0.9}, 3)
        tracker.log_metrics({"train/loss": 0.8}, 4)
    assert where(folder)["run_id"] == first
    assert history(client, folder, "train/loss") == [(1, 1.5), (2, 1.0), (3, 0.9), (4, 0.8)]
    run = client.get_run(first)
    assert run.info.status == "FINISHED"
    assert (run.data.params["workers"], run.data.tags["now/workers"]) == ("2", "4")


def test_lines_sent_a_second_time_change_nothing(out: Path, client: MlflowClient) -> None:
    with make(out) as tracker:
        tracker.start()
        tracker.log_metrics({"val/dice_mean": 0.5}, 5)
        (tracker.folder / "cases.csv").write_text("subject,dice_ET\na,0.5\n")
        tracker.log_table(tracker.folder / "cases.csv")
    (tracker.folder / "journal.sent").unlink()
    Tracker.reopen(tracker.folder).close()
    assert history(client, tracker.folder, "val/dice_mean") == [(5, 0.5)]
    table = json.loads((artifacts(client, tracker.folder) / "cases.json").read_text())
    assert table == {"columns": ["subject", "dice_ET"], "data": [["a", 0.5]]}


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_crash_is_seen_in_the_status(
    out: Path, client: MlflowClient, error: type[BaseException], status: str
) -> None:
    crash(make(out), error)
    assert run_of(client, out / "kdnet_t1ce").info.status == status


def test_a_failed_run_is_continued(out: Path, client: MlflowClient) -> None:
    crash(make(out), RuntimeError)
    first = where(out / "kdnet_t1ce")["run_id"]
    with make(out) as tracker:
        tracker.start()
        assert tracker.flush()
        assert client.get_run(first).info.status == "RUNNING"
    assert client.get_run(first).info.status == "FINISHED"
    assert where(tracker.folder)["run_id"] == first


def test_an_unreachable_server_costs_a_warning_and_no_time_and_is_told_later(
    out: Path, client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, logger="kd_monai"), make(out, uri=UNREACHABLE) as tracker:
        tracker.start()
        for step in range(50):
            tracker.log_metrics({"train/loss": 1.0 / (step + 1)}, step)
    assert time.monotonic() - began < 5
    assert sum("must answer" in record.message for record in caplog.records) == 1
    Tracker.reopen(tracker.folder).close()
    run = run_of(client, tracker.folder)
    assert len(history(client, tracker.folder, "train/loss")) == 50
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "1"
    assert 0 <= run.info.end_time - run.info.start_time < 5000  # as it was, not as it was told


def test_a_required_store_that_does_not_answer_is_an_error(out: Path) -> None:
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9.*mend MLFLOW_TRACKING_URI"):
        make(out, uri=UNREACHABLE, required=True).start()


def test_a_required_store_that_answers_is_told_at_once(out: Path) -> None:
    with make(out, required=True) as tracker:
        tracker.start()
        assert where(tracker.folder)["run_id"]


def test_the_environment_names_the_store(out: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = out.parent / "other"
    other.mkdir()
    shutil.copy(empty_store, other / "team.db")
    monkeypatch.chdir(other)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///team.db")
    with make(out) as tracker:
        tracker.start()
        (tracker.folder / "model.pt").write_bytes(b"weights")
        tracker.log_artifact(tracker.folder / "model.pt")
    assert where(tracker.folder)["uri"] == f"sqlite:///{other}/team.db"
    assert len(list((other / "mlartifacts").rglob("model.pt"))) == 1


def test_a_run_whose_store_is_lost_is_told_anew(out: Path, empty_store: Path, client: MlflowClient) -> None:
    with make(out) as tracker:
        tracker.start()
        tracker.log_metrics({"train/loss": 1.0}, 1)
    first = where(tracker.folder)["run_id"]
    client.delete_run(first)
    Tracker.reopen(tracker.folder).close()
    assert where(tracker.folder)["run_id"] != first
    assert history(client, tracker.folder, "train/loss") == [(1, 1.0)]


def test_a_plus_in_a_name_is_an_error_at_the_caller(out: Path) -> None:
    tracker = make(out)
    with pytest.raises(ValueError, match=r"'val/dice_t1\+t2'.*t1-t2"):
        tracker.log_metrics({"val/dice_t1+t2": 1.0}, 1)


def test_many_and_long_parameters_arrive(out: Path, client: MlflowClient) -> None:
    many = {f"p{number}": number for number in range(250)}
    with make(out, many=many, long="x" * 7000) as tracker:
        tracker.start()
        tracker.log_params({"seed": 2})
    run = run_of(client, tracker.folder)
    assert run.data.params["many/p249"] == "249"
    assert run.data.params["long"] == "x" * 497 + "..."
    assert (run.data.params["seed"], run.data.tags["now/seed"]) == ("1", "2")


def test_a_value_that_is_no_number_is_left_out(out: Path, client: MlflowClient) -> None:
    with make(out) as tracker:
        tracker.start()
        tracker.log_metrics({"test/sensitivity_ET": float("nan"), "test/dice_ET": 1.0, "x": float("inf")})
    assert run_of(client, tracker.folder).data.metrics == {"test/dice_ET": 1.0}


def test_a_later_process_adds_test_scores_to_the_finished_run(out: Path, client: MlflowClient) -> None:
    with make(out) as tracker:
        tracker.start()
    for value in (0.5, 0.6):
        with Tracker.reopen(tracker.folder) as later:
            later.log_metrics({"test/dice_ET": value}, replace=True)
            later.log_parent_metrics({"gap_closed/t1ce/ET": value})
            (later.folder / "comparison.csv").write_text("role,mean\nstudent,0.5\n")
            later.log_parent_artifact(later.folder / "comparison.csv")
    run = run_of(client, tracker.folder)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"test/dice_ET": 0.6}
    parent = where(tracker.folder)["parent_run_id"]
    assert client.get_run(parent).data.metrics == {"gap_closed/t1ce/ET": 0.6}
    assert [artifact.path for artifact in client.list_artifacts(parent)] == ["comparison.csv"]


def test_a_folder_that_was_never_tracked_cannot_be_reopened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Train it first"):
        Tracker.reopen(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_folders_and_tables_become_artifacts(out: Path, client: MlflowClient) -> None:
    with make(out) as tracker:
        tracker.start()
        bundle = tracker.folder / "bundle" / "configs"
        bundle.mkdir(parents=True)
        (bundle / "inference.yaml").write_text("a: 1\n")
        (tracker.folder / "cases.csv").write_text("subject,grade,dice_ET\na,HGG,0.5\nb,LGG,\n")
        (tracker.folder / "overlays").mkdir()
        (tracker.folder / "overlays" / "epoch_0001.png").write_bytes(b"png")
        (out / "split.json").write_text("{}")
        tracker.log_artifact(bundle.parent)
        tracker.log_artifact(tracker.folder / "overlays" / "epoch_0001.png")
        tracker.log_artifact(out / "split.json", "data")
        tracker.log_table(tracker.folder / "cases.csv")
    run = run_of(client, tracker.folder)
    root = artifacts(client, tracker.folder)
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert files == [
        "bundle/configs/inference.yaml",
        "cases.csv",
        "cases.json",
        "data/split.json",
        "overlays/epoch_0001.png",
    ]
    assert root.is_relative_to(out / "mlartifacts")
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "cases.json", "type": "table"}]
    assert json.loads((root / "cases.json").read_text())["data"] == [["a", "HGG", 0.5], ["b", "LGG", None]]


def test_a_missing_artifact_is_an_error_at_the_caller_and_a_vanished_one_a_warning(
    out: Path, client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    with make(out, uri=UNREACHABLE) as tracker:
        tracker.start()
        with pytest.raises(FileNotFoundError, match=r"model\.pt does not"):
            tracker.log_artifact(tracker.folder / "model.pt")
        (tracker.folder / "gone.png").write_bytes(b"png")
        tracker.log_artifact(tracker.folder / "gone.png")
        tracker.log_metrics({"after": 1.0}, 1)
    (tracker.folder / "gone.png").unlink()
    Tracker.reopen(tracker.folder).close()
    assert "gone.png" in caplog.text
    assert run_of(client, tracker.folder).data.metrics == {"after": 1.0}


WRITER = """
import sys, time
from pathlib import Path
from kd_monai.tracking import Tracker
out, name = Path(sys.argv[1]), sys.argv[2]
(out / f"{name}.ready").touch()
while len(list(out.glob("*.ready"))) < 2:
    time.sleep(0.01)
with Tracker(out / name, "brats", name, {}, {}, "study", {"recipe": "quick"}) as tracker:
    tracker.start()
    tracker.log_metrics({"train/loss": 1.0}, 1)
    assert tracker.flush(120), "not sent"
"""


@pytest.mark.slow
def test_two_first_writers_make_one_schema_one_experiment_and_one_study(tmp_path: Path) -> None:
    processes = [python(WRITER, tmp_path, name) for name in ("teacher", "baseline_t1ce")]
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlruns.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments(filter_string="name = 'brats'")]
    assert len(experiments) == 1
    assert sorted(run.info.run_name for run in client.search_runs(experiments)) == ["baseline_t1ce", "study", "teacher"]


NO_END = """
import sys
from pathlib import Path
from kd_monai.tracking import Tracker
tracker = Tracker(Path(sys.argv[1]), "brats", "kdnet_t1ce", {}, {}, "study", {})
assert "mlflow" not in sys.modules
tracker.start()
tracker.log_metrics({"train/loss": 1.0}, 1)
"""


def test_a_process_that_leaves_without_a_word_still_sends_and_its_main_thread_imports_no_mlflow(
    out: Path, client: MlflowClient
) -> None:
    process = python(NO_END, out / "kdnet_t1ce")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert history(client, out / "kdnet_t1ce", "train/loss") == [(1, 1.0)]
    assert run_of(client, out / "kdnet_t1ce").info.status == "RUNNING"


CRASH = """
import atexit, sys
from pathlib import Path
from kd_monai.tracking import Tracker
atexit.register(lambda: tracker.end("FAILED"))
tracker = Tracker(Path(sys.argv[1]), "brats", "kdnet_t1ce", {}, {}, "study", {})
tracker.start()
raise RuntimeError("a defect")
"""


def test_a_run_that_is_ended_at_the_very_end_of_a_process_has_its_status_sent(out: Path, client: MlflowClient) -> None:
    """Its owner registered before the tracker started, and is called after the tracker's own last flush."""
    process = python(CRASH, out / "kdnet_t1ce")
    _, errors = process.communicate(timeout=120)
    assert "a defect" in errors
    assert run_of(client, out / "kdnet_t1ce").info.status == "FAILED"


def test_mlflow_reports_nothing_to_its_makers(out: Path) -> None:
    from mlflow.telemetry import get_telemetry_client

    with make(out) as tracker:
        tracker.start()
    assert get_telemetry_client() is None
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_run_that_is_started_in_place_of_an_unfinished_one_ends_it(out: Path, client: MlflowClient) -> None:
    left = make(out)
    left.start()
    left.close()
    old = run_of(client, left.folder)
    assert old.info.status == "RUNNING"
    (journal,) = [tag for name, tag in old.data.tags.items() if name == "journal"]
    shutil.rmtree(left.folder)
    with Tracker(out / "kdnet_t1ce", "brats", "kdnet_t1ce", {}, {}, replaces=journal) as tracker:
        tracker.start()
    replaced = client.get_run(old.info.run_id)
    assert replaced.info.status == "KILLED"
    assert replaced.data.tags["replaced_by"] == where(tracker.folder)["run_id"]
    assert run_of(client, tracker.folder).info.status == "FINISHED"


def test_a_store_whose_making_was_cut_short_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow itself never gets over half of its tables: "index already exists" at every start."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / ".mlruns.db.new").write_bytes(b"cut short")
    with make(tmp_path) as tracker:
        tracker.start()
    assert not (tmp_path / ".mlruns.db.new").exists()
    assert run_of(MlflowClient(f"sqlite:///{tmp_path}/mlruns.db"), tracker.folder).info.status == "FINISHED"
