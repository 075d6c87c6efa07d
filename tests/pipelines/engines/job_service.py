"""``python -m tests.pipelines.engines.job_service PORT SLOTS STAGING``: Beam's job service with several slots.

Beam's own works on one bundle at a time; with several workers at once it stands for an engine.
"""

import sys
from threading import Event
from typing import Any

from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.local_job_service import BeamJob, LocalJobServicer


def job_with(slots: int) -> type[BeamJob]:
    """A job whose bundles are dealt out to so many workers."""

    class Job(BeamJob):
        """See the module."""

        def _invoke_runner(self) -> Any:
            self.set_state(beam_job_api_pb2.JobState.RUNNING)
            runner = FnApiRunner(provision_info=self._provision_info)
            runner._num_workers = slots
            return runner.run_via_runner_api(self._pipeline_proto, self.pipeline_options())

    return Job


if __name__ == "__main__":
    LocalJobServicer(sys.argv[3], job_with(int(sys.argv[2]))).start_grpc_server(int(sys.argv[1]))
    Event().wait()
