"""A cluster of Ray to train on: found or started, and looked over before anything is begun.

Nodes must have the same Python, torch and Ravine as this process: what they send is unpickled here, and numbers must agree.
Ray itself is imported when it is first needed; `pip install 'ravine[ray]'` brings it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import os
import platform
import re
import signal
import socket
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravine.errors import ModelError, SettingError, first_line

__all__ = ["OnRay", "carried", "connected", "parse_workers", "room_for", "the_ray", "versions_here"]

ANSWERS = 3.0  # seconds in which a cluster takes a connection, or is not there

LOOKS = 120.0  # seconds in which every node begins a process and says what it has

LOOPBACK = "127.0.0.2" if sys.platform == "linux" else None
"""Where a Ray that is started here listens, so that nobody else reaches it. Ray takes 127.0.0.1 for "the address by which
others reach this machine"; elsewhere than on Linux it stays on the loopback by itself."""


@dataclass(frozen=True)
class OnRay:
    """Workers that Ray places: on which cluster, and what each of them takes.

    address: ray (one that runs here, or a new one), auto (one that runs: RAY_ADDRESS, or here) or ray://HOST:PORT.
    cpus, gpus: of each worker; fractions share a core or a GPU.
    """

    address: str
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.address not in ("ray", "auto") and not re.fullmatch(r"ray://[^/\s]+:\d+", self.address):
            raise SettingError(
                f"workers is {self.address!r}; write a number, ray (one that runs here, or a new one), auto (a cluster that runs) "
                "or ray://HOST:PORT."
            )
        if not self.cpus > 0 or not self.gpus >= 0:
            name, value = ("worker-cpus", self.cpus) if not self.cpus > 0 else ("worker-gpus", self.gpus)
            raise SettingError(
                f"{name} is {value:g}; it must be {'positive' if name == 'worker-cpus' else '0 or more'}."
            )

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"

    @property
    def threads(self) -> int:
        return max(1, int(self.cpus))

    def fits(self, resources: Mapping[str, float]) -> int:
        """How many workers a node with these resources holds.

        >>> OnRay("ray", cpus=2, gpus=0.5).fits({"CPU": 8, "GPU": 1})
        2
        """
        counts = [resources.get("CPU", 0.0) / self.cpus]
        if self.gpus:
            counts.append(resources.get("GPU", 0.0) / self.gpus)
        return int(min(counts) + 1e-9)


def parse_workers(word: int | str, cpus: float = 1.0, gpus: float = 0.0) -> int | OnRay:
    """What `--workers` says: so many forks of this process, or a cluster.

    >>> parse_workers("2"), parse_workers("auto", gpus=0.25)
    (2, OnRay(address='auto', cpus=1.0, gpus=0.25))
    """
    if isinstance(word, int) or re.fullmatch(r"[+-]?\d+", word):
        if (cpus, gpus) != (1.0, 0.0):
            raise SettingError(
                f"workers is {word}, processes on this machine that share its cores: worker-cpus and worker-gpus are of workers "
                "on Ray; write workers ray."
            )
        return int(word)
    return OnRay(word, cpus, gpus)


def the_ray() -> Any:
    """The library. Raises SettingError when it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of what it will do one day
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise SettingError(
            f"workers on a cluster need Ray, which is not installed ({error}): pip install 'ravine[ray]'."
        ) from error


@contextmanager
def connected(where: OnRay, factory: Callable[..., Any] | None = None) -> Iterator[None]:
    """Connect to the cluster, and see that it can do the work; a connection that was there is used and left.

    factory: the user's own, which every node must be able to make models with. Raises SettingError or ModelError.
    """
    ray = the_ray()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, where)
    try:
        _check_room(where)
        if ours:
            _check_nodes(ray, factory)
        yield
    finally:
        if ours:
            ray.shutdown()


def room_for(where: OnRay) -> list[tuple[int, float]]:
    """(workers that fit, bytes of memory for each) of every node that lives and has room."""
    nodes = [node["Resources"] for node in the_ray().nodes() if node["Alive"]]
    fits = [(where.fits(its), its) for its in nodes]
    return [(count, its.get("memory", 0.0) / count) for count, its in fits if count]


def _check_room(where: OnRay) -> None:
    if room_for(where):
        return
    most = {
        name: max((n["Resources"].get(name, 0.0) for n in the_ray().nodes()), default=0.0) for name in ("CPU", "GPU")
    }
    name, asked = ("GPU", where.gpus) if where.gpus > most["GPU"] else ("CPU", where.cpus)
    raise SettingError(
        f"worker-{name.lower()}s is {asked:g}, and the largest node of the cluster has {most[name]:g} {name}s: write "
        f"worker-{name.lower()}s {most[name]:g} or less."
    )


def _connect(ray: Any, where: OnRay) -> None:
    """Raises SettingError, soon, when there is no cluster; with `ray`, one is started then."""
    address = _address(where)
    if address is not None:
        _knock(where, address)
    # Ray asks this machine's name for its place unless told; a loopback cluster is met on the loopback.
    host = "" if address is None else address.removeprefix("ray://").rpartition(":")[0]
    place = LOOPBACK if address is None else host if host.startswith("127.") and "://" not in address else None
    more: dict[str, Any] = {} if address else {"include_dashboard": False}
    if place is not None:
        more["_node_ip_address"] = place
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **more)
    except Exception as error:  # Ray raises RuntimeError, ConnectionError, ValueError and others
        raise SettingError(
            f"workers is {where.address!r}, and Ray says: {' '.join(str(error).split())[:400]}"
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray takes it; how a run ends is for us to say
    with suppress(AttributeError):  # it would print what nodes say on standard output, where results go
        ray._private.worker._worker_logs_enabled = False


def _address(where: OnRay) -> str | None:
    """Where the cluster listens; None: one is to be started."""
    if "://" in where.address:
        return where.address
    given = os.environ.get("RAY_ADDRESS", "")
    if given == "local" and where.address == "ray":
        return None
    found = given or _running_here()
    if found is None and where.address == "auto":
        raise SettingError(
            "workers is 'auto', and no Ray cluster was found: begin one with ray start --head, set RAY_ADDRESS, or write "
            "workers ray."
        )
    return found


def _running_here() -> str | None:
    """The cluster that was last begun on this machine, if it still takes connections."""
    services = importlib.import_module("ray._private.services")
    found = services.find_bootstrap_address(None)
    return str(found) if found and _takes(found) else None


def _takes(address: str) -> bool:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS).close()
    except (OSError, ValueError):
        return False
    return True


def _knock(where: OnRay, address: str) -> None:
    """Ray tries for minutes; an address at which nobody listens is known at once."""
    if not _takes(address):
        shown = where.address if address == where.address else f"{where.address!r}, RAY_ADDRESS {address}"
        raise SettingError(
            f"no Ray cluster answers at {shown}: see that it runs (ray start --head --ray-client-server-port=10001) and that "
            "the address is right."
        )


def versions_here() -> dict[str, str]:
    """What must be the same on every node."""
    return {
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("ravine", "torch")},
    }


def _check_nodes(ray: Any, factory: Callable[..., Any] | None) -> None:
    """Raises SettingError for a node with other versions, and ModelError for one that cannot load the user's code."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    code = None if factory is None else carried(factory)
    look, at = _looks(ray), ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    names = [f"node {node['NodeManagerAddress']}" for node in nodes]
    asked = [look.options(scheduling_strategy=at(node["NodeID"], soft=False)).remote(code) for node in nodes]
    for name, one in zip(names, asked, strict=True):
        try:
            found, trouble = ray.get(one, timeout=LOOKS)
        except Exception as error:
            raise SettingError(f"{name} of the cluster does not answer: {first_line(error)}") from error
        check_versions(name, found)
        if trouble:
            label = getattr(factory, "__name__", "factory")
            raise ModelError(f"{name} cannot import what model {label} needs: {trouble}. Install it there.")


def check_versions(name: str, found: Mapping[str, str]) -> None:
    """Raise SettingError where a node has other versions than this process."""
    here = versions_here()
    wrong = [
        f"{what} {found.get(what, 'not at all')} and not {here[what]}" for what in here if found.get(what) != here[what]
    ]
    if wrong:
        raise SettingError(f"{name} has {', '.join(wrong)}: install there what is here.")


def _looks(ray: Any) -> Any:
    """A task that says what a node has. It travels by value, for there may be no Ravine to import it from."""

    def look(code: bytes | None) -> tuple[dict[str, str], str]:
        import importlib.metadata
        import pickle
        import platform

        found = {"Python": platform.python_version()}
        for name in ("ravine", "torch"):
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        try:
            if code is not None and len(found) == 3:
                pickle.loads(code)  # noqa: S301 - of our own process
        except Exception as error:
            return found, f"{type(error).__name__}: {error}"
        return found, ""

    return ray.remote(num_cpus=0, max_retries=0)(look)


def carried(value: Any) -> bytes:
    """The value pickled with the user's own code in it: modules of the working directory, and beside the factory's file.

    What is installed is named and must be on the nodes too. Raises ModelError when it cannot be pickled.
    """
    pickling = importlib.import_module("ray.cloudpickle")
    mine = _own_modules(value)
    for module in mine:
        pickling.register_pickle_by_value(module)
    try:
        return bytes(pickling.dumps(value))
    except Exception as error:
        raise ModelError(
            f"the model's factory cannot be sent to other machines: {first_line(error)}. Write it in a file of its own."
        ) from error
    finally:
        for module in mine:
            pickling.unregister_pickle_by_value(module)


def _own_modules(value: Any) -> Sequence[Any]:
    """Loaded modules that lie in the user's folders, and are neither installed nor ours."""
    of = sys.modules.get(getattr(getattr(value, "factory", value), "__module__", None) or "")
    file = getattr(of, "__file__", None)
    own = [Path.cwd(), *([Path(file).resolve().parent] if file else [])]
    never = [Path(__file__).parents[1], *(Path(path) for path in set(sysconfig.get_paths().values()))]

    def users(module: Any) -> bool:
        place = getattr(module, "__file__", None)
        if not isinstance(place, str) or getattr(module, "__name__", "__main__") == "__main__":
            return False
        path = Path(place).resolve()
        return any(path.is_relative_to(o) for o in own) and not any(path.is_relative_to(n.resolve()) for n in never)

    return [module for module in list(sys.modules.values()) if users(module)]
