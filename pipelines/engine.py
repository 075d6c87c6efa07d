"""Where the tiles are worked on: on this machine, or by an engine that Apache Beam has a runner for.

Beam only spreads the work and says that it is over. What became of a tile is in the ledger, so a job that ended badly,
or that nobody knows the end of, is no reason to lose anything.
"""

import logging
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import apache_beam as beam
import grpc
import requests
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineState

from stook.models.errors import UnreachableError, without_secrets
from stook.pipelines.engine_options import address_in
from stook.pipelines.sections import RunSection
from stook.transforms.editions.lease import Lease
from stook.transforms.editions.signals import Signals, asked_to_stop
from stook.transforms.tiles.tile_stage import TileStage

LOOKS_EVERY_S = 1.0
ANSWERS_WITHIN_S = 20.0
CANCELLED_WITHIN_S = 60.0
MOST_SAID = 300  # characters
A_YEAR_S = 31_536_000  # Beam has a deadline on a job that it follows; we have none
ADDRESSES = ("job_endpoint", "flink_master")  # options that name a server which must answer


def run_job(stage: TileStage, tiles: Sequence[str], run: RunSection, hints: Mapping[str, str], lease: Lease) -> str:
    """Have a stage done over tiles, and wait until the job has come to an end, whichever.

    Args:
        stage: What is done.
        tiles: Their names.
        run: Of the configuration.
        hints: What a worker of an engine needs, see ``resource_hints``.
        lease: Of the season; says which job works for it.

    Returns:
        Empty where the engine says that all went well, else what it says, in one line. The ledger says how far it came.

    Raises:
        UnreachableError: If the engine does not take the job.
    """
    if run.engine is None:
        submitted(stage, tiles, *local_runner(run))
        return ""
    name = f"stook-{lease.run[:12]}"
    options = engine_options(run, name, hints)
    try:
        require_answers(run.engine)
        if lease.left is not None:
            cancel_left(run.engine, lease.left, options)
        result = submitted(stage, tiles, None, options)
    except Exception as error:  # noqa: BLE001  of whatever runner; the same pipeline works on this machine
        raise UnreachableError(
            f"run.engine: {run.engine['runner']} does not take the job: {in_one_line(error)}; progress is saved"
        ) from error
    lease.say(job={"name": name, "id": job_id(result)})
    return followed(result, stage.task.signals)


def submitted(stage: TileStage, tiles: Sequence[str], runner: Any, options: PipelineOptions) -> PipelineResult:
    """Give the pipeline to a runner; the one of this machine is done with it when it returns."""
    pipeline = beam.Pipeline(runner=runner, options=options)
    _ = pipeline | beam.Create(tiles, reshuffle=False) | stage
    return pipeline.run()


def local_runner(run: RunSection) -> tuple[FnApiRunner, PipelineOptions]:
    """The runner of this machine and its options: a thread per tile in flight, see ``worker_processes``."""
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    options = PipelineOptions(
        [],
        direct_running_mode="in_memory" if run.mode == "memory" else "multi_threading",
        direct_num_workers=1 if run.mode == "memory" else run.workers,
        default_sdk_harness_log_level="ERROR",
    )
    return FnApiRunner(), options


def worker_processes(run: RunSection) -> int:
    """How many processes do the work on tiles; 0 where the threads do it themselves, as those of an engine do."""
    return run.workers if run.mode == "processes" and run.engine is None else 0


def engine_options(run: RunSection, name: str, hints: Mapping[str, str]) -> PipelineOptions:
    """Beam's options: those of the configuration as they are, and what it leaves open.

    Resource hints are of the whole pipeline, so that there is one environment and one kind of worker.
    """
    chosen = dict(run.engine or {})
    own: dict[str, Any] = {"job_name": name, "resource_hints": [f"{key}={hint}" for key, hint in hints.items()]}
    if chosen["runner"] == "DataflowRunner":
        own["number_of_worker_harness_threads"] = run.workers
        if run.accelerator:
            chosen["experiments"] = [*chosen.get("experiments", []), "no_use_multiple_sdk_containers"]
    else:
        own["job_server_timeout"] = A_YEAR_S
    return PipelineOptions.from_dictionary(own | chosen)


def job_id(result: Any) -> str:
    """What the engine, or its job server, calls a job; empty where it has no name for it."""
    name = getattr(result, "job_id", None)  # of Dataflow
    return str(name() if callable(name) else getattr(result, "_job_id", ""))


def cancel_left(engine: Mapping[str, Any], job: Mapping[str, Any], options: PipelineOptions) -> None:
    """End the job of a run that did not come to its end; where that cannot be, its workers stop by themselves.

    They find out with their next tile that another run has the season.
    """
    with suppress(Exception):
        if engine["runner"] == "DataflowRunner":
            from apache_beam.runners.dataflow.internal import apiclient

            apiclient.DataflowApplicationClient(options).modify_job_state(job["id"], "JOB_STATE_CANCELLED")
        if "job_endpoint" in engine:
            with grpc.insecure_channel(engine["job_endpoint"]) as channel:
                jobs = beam_job_api_pb2_grpc.JobServiceStub(channel)
                jobs.Cancel(beam_job_api_pb2.CancelJobRequest(job_id=job["id"]), timeout=ANSWERS_WITHIN_S)
        if address := address_in(engine.get("flink_master")):  # its job server may have gone with the driver
            host, port = address
            flink = f"http://{host}:{port}/jobs"
            for each in requests.get(f"{flink}/overview", timeout=ANSWERS_WITHIN_S).json()["jobs"]:
                if each["name"] == job["name"] and each["state"] == "RUNNING":
                    requests.patch(f"{flink}/{each['jid']}", params={"mode": "cancel"}, timeout=ANSWERS_WITHIN_S)


def require_answers(engine: Mapping[str, Any]) -> None:
    """Raise OSError if a server that the options name takes no connection."""
    for host, port in filter(None, (address_in(engine.get(name)) for name in ADDRESSES)):
        try:
            socket.create_connection((host, port), ANSWERS_WITHIN_S).close()
        except OSError as error:
            raise OSError(f"{host}:{port} does not answer ({error})") from None


def followed(result: PipelineResult, signals: Signals) -> str:
    """Wait for the end of a job, as long as it takes; a stop that is asked for ends it. Returns as ``run_job``."""
    try:
        while not PipelineState.is_terminal(result.state):
            if asked_to_stop(signals.season) or signals.superseded():
                cancel(result)
                return ""
            time.sleep(LOOKS_EVERY_S)
        result.wait_until_finish()  # raises why a job has failed
    except Exception as error:  # noqa: BLE001  of whatever runner; it is told, and the ledger decides
        return in_one_line(error)
    except BaseException:  # Ctrl-C and SIGTERM
        cancel(result)
        raise
    return ""


def cancel(result: PipelineResult) -> None:
    """End a job, and wait a while until it has; where nobody can be told, workers find out by the season's signals."""
    until = time.monotonic() + CANCELLED_WITHIN_S
    with suppress(Exception):
        result.cancel()
        while not PipelineState.is_terminal(result.state) and time.monotonic() < until:
            time.sleep(LOOKS_EVERY_S)


def in_one_line(error: Exception) -> str:
    """What a runner says, without what follows its first paragraph."""
    text = without_secrets(" ".join(str(error).split()) or type(error).__name__)
    return text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]}…"
