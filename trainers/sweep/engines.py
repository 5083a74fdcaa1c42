"""Where the cells of a sweep run: in processes of this machine, or on a Ray cluster.

An engine is an iterator over (cell, outcome) in the order in which the cells end. The outcome is what `work`
returned, or the exception that ended it. One cell's end, however violent, leaves the others alone.
"""

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from trainers.nets.parallel import starter
from trainers.sweep.table import Cell

Outcome = Any  # a result or an exception
Outcomes = Iterator[tuple[Cell, Outcome]]


def slots_of(cell: Cell) -> int:
    """How many such cells this machine can hold at once, at least 1."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return max(1, min(os.cpu_count() // cell.cores, int(memory // cell.memory)))


def local(work: Callable[[Cell], Outcome], todo: Sequence[Cell], slots: int) -> Outcomes:
    """`slots` processes. A process that is killed takes the cells with it that run at that moment."""
    waiting, module = deque(todo), getattr(work, "func", work).__module__
    while waiting:
        pool = ProcessPoolExecutor(slots, starter(module), initializer=_follow_parent)
        try:
            yield from _pooled(pool, work, waiting, slots)
        except BaseException:  # Ctrl-C, or nobody asks for more
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _pooled(pool: ProcessPoolExecutor, work: Callable, waiting: deque, slots: int) -> Outcomes:
    """Until all cells have ended or the pool is broken."""
    running, broken = {}, False
    while running or (waiting and not broken):
        while waiting and not broken and len(running) < slots:
            cell = waiting.popleft()
            try:
                running[pool.submit(work, cell)] = cell
            except BrokenProcessPool:
                broken = True
                waiting.appendleft(cell)
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            outcome = future.exception() or future.result()
            broken = broken or isinstance(outcome, BrokenProcessPool)
            yield running.pop(future), outcome


def _follow_parent() -> None:
    """Ctrl-C reaches all processes of a terminal; the first one ends the others, also when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def on_ray(work: Callable, todo: Sequence[Cell], inputs: Callable[[Cell], Mapping[str, Path]]) -> Outcomes:
    """The cluster at RAY_ADDRESS, else that of this machine, which is started if need be. work: `learn_away`
    or one like it.

    Machines need no shared disk. What the cells read (`inputs`: name -> file) is put into Ray's store, which
    brings it to a machine once; what they write comes back with their result. Cells of a lost machine begin
    anew on others. ValueError without Ray; ConnectionError if the cluster is not there."""
    ray = opened()
    try:
        key, remote, stored, running = uuid.uuid4().hex[:8], ray.remote(work), {}, {}
        for cell in todo:
            files = inputs(cell)
            stored |= {name: ray.put(path.read_bytes()) for name, path in files.items() if name not in stored}
            task = remote.options(num_cpus=cell.cores, memory=int(cell.memory * 1e9), max_retries=3)
            running[task.remote(cell, key, {name: stored[name] for name in files})] = cell
        while running:
            for ready in ray.wait(list(running))[0]:
                yield running.pop(ready), _outcome(ray, ready)
        clear_up(ray, key)
    finally:
        ray.shutdown()


def opened():
    """Ray, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 starves cells where other work runs
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ValueError("--engine ray needs Ray: pip install -e '.[ray]'") from error
    ray.init(log_to_driver=False, logging_level="error")
    return ray


def _outcome(ray, reference) -> Outcome:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        return error


def scratch(key: str) -> Path:
    """A machine's temporary folder for the files of a sweep."""
    return Path(tempfile.gettempdir()) / f"lwgan-sweep-{key}"


def clear_up(ray, key: str) -> None:
    """Removes the sweep's files from all machines."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    nodes = [On(node["NodeID"], soft=True) for node in ray.nodes() if node["Alive"]]
    remove = [ray.remote(shutil.rmtree).options(num_cpus=0, scheduling_strategy=node) for node in nodes]
    done = [task.remote(scratch(key), ignore_errors=True) for task in remove]
    ray.wait(done, num_returns=len(done), timeout=30)
