"""What ``run.engine`` may say: Beam's own options, but for those that would break a run."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from stook.models.errors import InputError

RUNNERS = ("DataflowRunner", "FlinkRunner", "PortableRunner", "PrismRunner", "SparkRunner")
REFUSED_RUNNERS = {
    "DaskRunner": "it loses results without saying so",
    "DirectRunner": "it wants to download a program; leave run.engine away to work on this machine",
    "FnApiRunner": "leave run.engine away to work on this machine",
    "InteractiveRunner": "it is for notebooks",
}
REFUSED_OPTIONS = {
    "save_main_session": "workers install Stook",
    "streaming": "a season is a batch",
    "template_location": "the driver has to wait for the job",
}
HERE = ("localhost", "127.0.0.1", "::1", "")
OF_WORKERS_BESIDE_THE_DRIVER = ("LOOPBACK", "EXTERNAL", "PROCESS")


def require_sound(engine: Mapping[str, Any], accelerator: str | None) -> None:
    """Raise ValueError for options that would break a run, by name and with the reason."""
    runner = engine.get("runner")
    if runner is None:
        raise ValueError(f"runner is missing; allowed are {', '.join(RUNNERS)}")
    if runner in REFUSED_RUNNERS:
        raise ValueError(f"runner: {runner} is refused: {REFUSED_RUNNERS[runner]}; allowed are {', '.join(RUNNERS)}")
    if runner not in RUNNERS:
        raise ValueError(f"runner: {runner!r} is not known; allowed are {', '.join(RUNNERS)}")
    for name, reason in REFUSED_OPTIONS.items():
        if engine.get(name):
            raise ValueError(f"{name} is refused: {reason}")
    for name, value in engine.items():
        scalars = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str | int | float | bool) for each in scalars):
            raise ValueError(f"{name}: {value!r} is refused: allowed are text, numbers, true, false, and lists of them")
    service = [str(option) for option in _listed(engine.get("dataflow_service_options"))]
    if any(option.startswith("worker_accelerator") for option in service):
        raise ValueError(
            "dataflow_service_options: worker_accelerator is refused: memory is asked for by right fitting, which "
            "does not go together with it; use run.accelerator"
        )
    processes = engine.get("sdk_worker_parallelism", 1)
    if accelerator and str(processes) != "1":
        raise ValueError(
            f"sdk_worker_parallelism: {processes} is refused: with run.accelerator one process has the device, or the "
            "models would be in its memory more than once; allowed is 1"
        )


def workers_see_this_machine(engine: Mapping[str, Any] | None) -> bool:
    """Whether the files of this machine are those of the workers, as far as the options tell."""
    if engine is None or engine["runner"] == "PrismRunner":
        return True
    kind = str(engine.get("environment_type", "")).upper()
    if engine["runner"] == "DataflowRunner" or kind not in OF_WORKERS_BESIDE_THE_DRIVER:
        return False
    named = [engine.get(name) for name in ("job_endpoint", "flink_master", "spark_master_url", "environment_config")]
    hosts = [address[0] for address in map(address_in, named) if address is not None]
    return kind == "LOOPBACK" or all(host in HERE for host in hosts)


def address_in(option: Any) -> tuple[str, int] | None:
    """Host and port that an option names, None where it names none."""
    text = str(option or "")
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        return (parts.hostname, parts.port) if parts.hostname and parts.port else None
    except ValueError:
        return None


def _listed(option: Any) -> list[Any]:
    return option if isinstance(option, list) else [] if option is None else [option]


def parsed(options: Sequence[str]) -> dict[str, Any]:
    """Options of the command line, NAME=VALUE; raises InputError for one that is none.

    A name that is given more than once is a list; true and false are no text.
    """
    engine: dict[str, Any] = {}
    for option in options:
        name, is_one, value = option.removeprefix("--").partition("=")
        if not is_one or not name:
            raise InputError(f"--engine-option: {option!r} is refused; allowed is NAME=VALUE")
        meant: Any = {"true": True, "false": False}.get(value, value)
        engine[name] = [*_listed(engine[name]), meant] if name in engine else meant
    return engine
