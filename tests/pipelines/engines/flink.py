"""A Flink cluster of this machine: a JobManager, two TaskManagers with two slots each, Beam's job server before it.

Flink's programs come from the package ``apache-flink-libraries``, the job server from Maven; ``make test-engines``
fetches both.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.pipelines.engines.processes import ENGINES, free_port, running, worker_pool

MARK = "BASH_JAVA_UTILS_EXEC_RESULT:"
OPENED = ("lang", "lang.reflect", "net", "io", "nio", "text", "time", "util", "util.concurrent",
          "util.concurrent.atomic", "util.concurrent.locks")  # fmt: skip
OPENS = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in OPENED] + [
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"
]
ENTRY = "org.apache.flink.runtime"


def absent() -> str | None:
    """Why there can be no cluster here, or None."""
    if shutil.which("java") is None:
        return "Java is not installed"
    return None if (ENGINES / "flink" / ".ready").exists() else f"{ENGINES} has no Flink; make test-engines fetches it"


@dataclass(frozen=True)
class Cluster:
    """A cluster at work.

    Attributes:
        options: With which Stook reaches it.
        master: Address of its REST interface.
        processes: By name: ``jobmanager``, ``taskmanager0``, ``taskmanager1``, ``jobs``, ``pool``.
    """

    options: dict[str, object]
    master: str
    processes: "dict[str, subprocess.Popen[bytes]]"


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster until the block ends; a worker that dies costs no job, as the cluster's restart strategy has it."""
    rest, jobs = free_port(), free_port()
    configuration = {
        "jobmanager": {"rpc": {"address": "localhost", "port": free_port()}, "memory": {"process": {"size": "1024m"}}},
        "taskmanager": {"host": "localhost", "numberOfTaskSlots": 2, "memory": {"process": {"size": "1280m"}}},
        "rest": {"address": "localhost", "port": rest},
        "parallelism": {"default": 2},
        "restart-strategy": {"type": "fixed-delay", "fixed-delay": {"attempts": 100, "delay": "1 s"}},
        "heartbeat": {"interval": 1000, "timeout": 10000},
    }
    (folder / "conf").mkdir()
    (folder / "conf" / "config.yaml").write_text(yaml.safe_dump(configuration))
    with ExitStack() as stack:
        processes = {}
        master = java("entrypoint.StandaloneSessionClusterEntrypoint", "GET_JM_RESOURCE_PARAMS", folder)
        processes["jobmanager"] = stack.enter_context(running(master, folder / "jobmanager.log", rest))
        worker = java("taskexecutor.TaskManagerRunner", "GET_TM_RESOURCE_PARAMS", folder)
        for number in (0, 1):
            name = f"taskmanager{number}"
            words = [*worker, f"-Dtaskmanager.resource-id={name}"]
            processes[name] = stack.enter_context(running(words, folder / f"{name}.log"))
        server = [
            "java",
            "-cp",
            f"{ENGINES / 'flink' / 'job-server'}/*",
            "org.apache.beam.runners.flink.FlinkJobServerDriver",
            f"--flink-master=localhost:{rest}",
            f"--job-port={jobs}",
            f"--artifact-port={free_port()}",
            "--expansion-port=0",
            f"--artifacts-dir={folder / 'artifacts'}",
        ]
        processes["jobs"] = stack.enter_context(running(server, folder / "jobs.log", jobs))
        pool, processes["pool"] = stack.enter_context(worker_pool(folder))
        options = {
            "runner": "PortableRunner",
            "job_endpoint": f"localhost:{jobs}",
            "flink_master": f"localhost:{rest}",
            "environment_type": "EXTERNAL",
            "environment_config": f"localhost:{pool}",
            "parallelism": 2,
        }
        yield Cluster(options, f"http://localhost:{rest}", processes)


def java(entry: str, parameters: str, folder: Path) -> list[str]:
    """The command of one of Flink's processes, with the memory that its own program works out."""
    home = ENGINES / "flink" / "deps"
    path = ":".join(str(jar) for jar in sorted((home / "lib").glob("*.jar")))
    utility = "org.apache.flink.runtime.util.bash.BashJavaUtils"
    config = str(folder / "conf")
    told = subprocess.run(
        ["java", "-cp", f"{home}/bin/bash-java-utils.jar:{path}", utility, parameters, "--configDir", config],
        capture_output=True,
        text=True,
        check=True,
    )
    jvm, dynamic = [
        line.removeprefix(MARK) for line in (told.stdout + told.stderr).splitlines() if line.startswith(MARK)
    ]
    mode = ["--executionMode", "cluster"] if entry.startswith("entrypoint") else []
    return ["java", *jvm.split(), *OPENS, "-cp", path, f"{ENTRY}.{entry}", "--configDir", config, *mode,
            *dynamic.split()]  # fmt: skip
