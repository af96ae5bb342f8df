"""Work on a Dask cluster: one of this machine, or one whose scheduler has an address.

Workers read the run and the pictures under the very paths that the client names, so machines need a
file system in common; what they find comes back to the client, which alone writes. Dask does the
task of a lost worker again. A worker of another version of a package that has a part in the figures
is refused, since its figures would differ without a word.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from engine.core.errors import EngineError, OptionError, WorkerDied
from engine.core.store import folder
from engine.core.system import usable_cores, versions
from engine.core.types import Progress, Report
from engine.workers.slots import hold_slot

if TYPE_CHECKING:
    from distributed import Client, WorkerPlugin

LOCAL = "local"
LOCAL_WORKERS = 2
LOG = "dask-workers.log"
"""In the store's cache: what the workers of the last local cluster printed."""
CONNECT_SECONDS = 10
_STAGE = "Using a Dask cluster"
_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent
_SHARED = ("tcp://", "tls://", "ucx://", "ws://", "wss://")


def check_address(address: str) -> None:
    """Refuse what is no cluster, before anything else is done.

    Raises:
        OptionError: Dask is not installed, or the address is none.
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise OptionError(
            _STAGE,
            got="an environment without the package distributed",
            expected="Dask, which is an extra",
            todo="Install it with: pip install -r requirements-dask.txt; or leave --dask out.",
        ) from error
    if address != LOCAL and not address.startswith(_SHARED):
        raise OptionError(
            _STAGE,
            got=f"'{address}'",
            expected=f"{LOCAL}, or the address of a scheduler such as tcp://10.0.0.1:8786",
            todo=f"Name one of these; {LOCAL} starts {LOCAL_WORKERS} workers on this machine.",
        )


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Let worker processes start without running this process's main script again.

    Under Streamlit that is the dashboard's page, which a spawned process would run as it starts.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def connect(address: str, report: Report) -> Iterator[Client]:
    """Connect to a cluster for the length of the context.

    A cluster of this machine takes a slot of its store (`engine.workers.slots`).

    Raises:
        OptionError: See `check_address`; or nothing answers there.
    """
    check_address(address)
    from distributed import Client, LocalCluster

    report(Progress("Starting workers" if address == LOCAL else f"Calling {address}", 0, 0))
    if address == LOCAL:
        with (
            hold_slot(report),
            _no_main_module(),
            LocalCluster(
                n_workers=LOCAL_WORKERS,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
                silence_logs=logging.CRITICAL,
                env=_environment(),
            ) as cluster,
            Client(cluster) as client,
        ):
            client.register_plugin(_log_plugin())
            yield client
        return
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise OptionError(
            _STAGE,
            got=f"no answer of a scheduler at {address}",
            expected="a Dask scheduler of this version",
            todo="Check the address, or start one with: dask scheduler.",
        ) from error
    with client:
        yield client


def _log_plugin() -> WorkerPlugin:
    """Send what libraries print in workers, restarted ones as well, to a file of the store."""
    from distributed import WorkerPlugin

    class LogPlugin(WorkerPlugin):
        name = "qlab-log"

        def __init__(self, file: str) -> None:
            self._file = file

        def setup(self, worker: Any) -> None:
            log = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            for stream in (1, 2):
                os.dup2(log, stream)
            os.close(log)

    file = folder("cache") / LOG
    file.unlink(missing_ok=True)
    return LogPlugin(str(file))


def _environment() -> dict[str, str]:
    return {
        "PYTHONPATH": os.pathsep.join(
            filter(None, (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH")))
        ),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "-1",
        # As in a worker of our own, where the nanny would set 1: numpy's last bits depend on it.
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", str(usable_cores())),
    }


def call_each(
    client: Client, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, Any]]:
    """Call a function on a cluster, once for each set of arguments.

    Args:
        client: Of the cluster.
        function: One of a module that workers can import.
        arguments: Positional arguments; futures among them are waited for.

    Yields:
        Index of the arguments, and result, in the order in which they come.

    Raises:
        EngineError: As the function raised it, or a worker of other versions.
        WorkerDied: One call ended several workers, one after the other.
    """
    from distributed import KilledWorker, as_completed

    own = versions()
    futures = {
        client.submit(_call_checked, own, function, *given, pure=False): position
        for position, given in enumerate(arguments)
    }
    for future in as_completed(list(futures)):
        try:
            result = future.result()
        except KilledWorker as error:
            raise WorkerDied(
                _STAGE,
                got="a piece of work that ended several workers one after the other",
                expected="a result",
                todo="Look into the workers' logs; often their memory is too small. A local "
                f"cluster writes to {folder('cache') / LOG}.",
            ) from error
        position = futures.pop(future)
        future.release()
        yield position, result


def _call_checked(
    versions_of_client: dict[str, str], function: Callable[..., Any], *given: Any
) -> Any:
    """Call the function in the worker, unless figures could differ from the client's."""
    check_versions(versions_of_client, versions())
    return function(*given)


def check_versions(client: dict[str, str], worker: dict[str, str]) -> None:
    """Refuse a worker whose packages are not the client's.

    Both are versions by package, as `versions` gives them; the platform may differ.

    Raises:
        EngineError: They are not.
    """
    differing = [
        f"{name} {worker.get(name)} for {version}"
        for name, version in client.items()
        if name != "platform" and worker.get(name) != version
    ]
    if differing:
        raise EngineError(
            _STAGE,
            got="a worker with " + ", ".join(differing),
            expected="the versions of the client, since figures depend on them",
            todo="Install the same requirements.txt on every machine of the cluster.",
        )
