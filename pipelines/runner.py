"""Which Beam runner, and how."""

import logging

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from stook.pipelines.sections import RunSection


def local_runner(run: RunSection) -> tuple[FnApiRunner, PipelineOptions]:
    """The local runner and its options: a thread per tile in flight, which leaves the work to a process if so asked.

    Beam's ``DirectRunner`` is not used, it downloads a binary; its ``DaskRunner`` loses elements without saying so; its
    ``multi_processing`` ends, or waits for ever, when a worker is killed, see ``stook.transforms.tiles.workers``.
    """
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    options = PipelineOptions(
        direct_running_mode="in_memory" if run.mode == "memory" else "multi_threading",
        direct_num_workers=1 if run.mode == "memory" else run.workers,
        default_sdk_harness_log_level="ERROR",
    )
    return FnApiRunner(), options


def worker_processes(run: RunSection) -> int:
    """How many processes do the work on tiles; 0 where the threads do it themselves."""
    return run.workers if run.mode == "processes" else 0
