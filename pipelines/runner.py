"""Which Beam runner, and how."""

import logging

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines.sections import RunSection

MODES = {"memory": "in_memory", "threads": "multi_threading", "processes": "multi_processing"}


def local_runner(run: RunSection) -> tuple[FnApiRunner, PipelineOptions]:
    """The local runner and its options.

    Beam's ``DirectRunner`` is not used, it downloads a binary; its ``DaskRunner`` loses elements without saying so.
    """
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    options = PipelineOptions(
        direct_running_mode=MODES[run.mode],
        direct_num_workers=1 if run.mode == "memory" else run.workers,
        default_sdk_harness_log_level="ERROR",
    )
    return FnApiRunner(), options
