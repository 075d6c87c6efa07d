"""Beam's options pass through as they are, but for those that break a run, which are refused by name and reason."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from apache_beam.options.pipeline_options import PortableOptions, StandardOptions
from pydantic import ValidationError

from stook.models.errors import InputError
from stook.pipelines.commands.options import map_configuration
from stook.pipelines.engine import A_YEAR_S, engine_options
from stook.pipelines.engine_options import workers_see_this_machine
from stook.pipelines.sections import RunSection
from tests.pipelines.test_configuration import valid

GPU = "type:nvidia-l4;count:1;install-nvidia-driver"


@pytest.mark.parametrize(
    ("engine", "accelerator", "told"),
    [
        ({}, None, "runner is missing; allowed are DataflowRunner, FlinkRunner"),
        ({"runner": "DaskRunner"}, None, "DaskRunner is refused: it loses results without saying so"),
        ({"runner": "DirectRunner"}, None, "leave run.engine away to work on this machine"),
        ({"runner": "flink"}, None, "runner: 'flink' is not known; allowed are"),
        ({"runner": "FlinkRunner", "streaming": True}, None, "streaming is refused: a season is a batch"),
        ({"runner": "FlinkRunner", "parallelism": {"a": 1}}, None, "parallelism: {'a': 1} is refused"),
        (
            {"runner": "DataflowRunner", "dataflow_service_options": ["worker_accelerator=type:nvidia-l4"]},
            None,
            "worker_accelerator is refused: memory is asked for by right fitting",
        ),
        ({"runner": "FlinkRunner", "sdk_worker_parallelism": 2}, GPU, "sdk_worker_parallelism: 2 is refused"),
    ],
)
def test_what_breaks_a_run_is_refused(engine: dict[str, Any], accelerator: str | None, told: str) -> None:
    with pytest.raises(ValidationError) as error:
        RunSection(engine=engine, accelerator=accelerator)
    assert told in str(error.value)


def test_options_pass_through_beside_ours() -> None:
    engine = {"runner": "PortableRunner", "job_endpoint": "localhost:8099", "environment_type": "LOOPBACK"}
    options = engine_options(RunSection(engine=engine), "stook-1", {"min_ram": "3GiB"})
    portable = options.view_as(PortableOptions)
    assert (portable.job_endpoint, portable.environment_type) == ("localhost:8099", "LOOPBACK")
    assert portable.job_server_timeout == A_YEAR_S
    assert options.view_as(StandardOptions).resource_hints == ["min_ram=3GiB"]
    assert (
        engine_options(RunSection(engine=engine | {"job_server_timeout": 5}), "stook-1", {})
        .view_as(PortableOptions)
        .job_server_timeout
        == 5
    )


def test_a_gpu_of_dataflow_has_one_process() -> None:
    engine = {"runner": "DataflowRunner", "experiments": ["use_runner_v2"]}
    options = engine_options(RunSection(engine=engine, accelerator=GPU, workers=3), "stook-1", {"accelerator": GPU})
    told = options.get_all_options()
    assert told["experiments"] == ["use_runner_v2", "no_use_multiple_sdk_containers"]
    assert options.view_as(StandardOptions).resource_hints == [f"accelerator={GPU}"]
    assert told["number_of_worker_harness_threads"] == 3


@pytest.mark.parametrize(
    ("engine", "seen"),
    [
        (None, True),
        ({"runner": "PrismRunner"}, True),
        ({"runner": "PortableRunner", "job_endpoint": "10.0.0.1:8099", "environment_type": "LOOPBACK"}, True),
        (
            {
                "runner": "FlinkRunner",
                "flink_master": "localhost:8081",
                "environment_type": "EXTERNAL",
                "environment_config": "localhost:50000",
            },
            True,
        ),
        (
            {
                "runner": "FlinkRunner",
                "flink_master": "http://flink-jobmanager:8081",
                "environment_type": "EXTERNAL",
                "environment_config": "localhost:50000",
            },
            False,
        ),
        ({"runner": "FlinkRunner", "flink_master": "localhost:8081"}, False),
        ({"runner": "DataflowRunner"}, False),
    ],
)
def test_which_workers_see_this_machine(engine: dict[str, Any] | None, seen: bool) -> None:
    assert workers_see_this_machine(engine) == seen


def test_options_of_the_command_line_replace_those_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(valid() | {"run": {"engine": {"runner": "PrismRunner", "parallelism": 2}}}))
    words = ["parallelism=8", "--experiments=a", "experiments=b", "streaming=false"]
    config = map_configuration(str(path), words)
    assert config.run.engine == {
        "runner": "PrismRunner",
        "parallelism": "8",
        "experiments": ["a", "b"],
        "streaming": False,
    }
    assert config.output == str(tmp_path / "out") and config.run.workers == 2
    with pytest.raises(InputError, match="--engine-option: 'parallelism' is refused; allowed is NAME=VALUE"):
        map_configuration(str(path), ["parallelism"])
    with pytest.raises(InputError, match=r"config\.yaml: .*DaskRunner is refused"):
        map_configuration(str(path), ["runner=DaskRunner"])
