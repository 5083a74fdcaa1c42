"""What all tests share: no network, no traces outside temporary folders, one thread, fixed seeds."""

import contextlib
import gc
import os
import tempfile
from pathlib import Path

import certifi

HF_HOME = tempfile.TemporaryDirectory(prefix="lwgan-tests-")
# Read once, when huggingface_hub and gradio are first imported: set before any test module is.
os.environ.update(
    HF_HOME=HF_HOME.name,
    HF_ENDPOINT="http://127.0.0.1:9",
    HF_HUB_DISABLE_TELEMETRY="1",
    GRADIO_ANALYTICS_ENABLED="False",
    SSL_CERT_FILE=HF_HOME.name + "/certificate.pem",
)
# One certificate: no test speaks TLS, and each HTTP client would read all that there are.
Path(os.environ["SSL_CERT_FILE"]).write_text(
    certifi.contents().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
)
# One thread, in what tests start too: nets this small gain nothing from a second one, and where other work
# shares the machine two threads wait for each other at every operation. Read when torch is first imported,
# here and in every child.
os.environ["OMP_NUM_THREADS"] = "1"
for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "LWGAN_REGISTRY"):
    os.environ.pop(name, None)

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from xdist.scheduler import LoadFileScheduling  # noqa: E402

DATA = Path(__file__).parent / "data"


# What takes longest, the longest first. Where workers share the tests (make test), each takes a file at a
# time. Begun last, a long one would keep a single worker busy at the end.
LONGEST = ("page/", "runs/test_faces.py", "sweep/test_sweep.py", "test_whole_path.py", "hub/test_faults.py",
           "nets/test_training.py", "hub/test_deadlines.py", "nets/test_parallel.py", "test_checkpoints.py",
           "evaluate/", "benchmark/", "hub/test_round_trip.py", "test_readers.py",
           "test_synthfaces.py")  # fmt: skip


def pytest_collection_modifyitems(items):
    rank = lambda path: next((i for i, name in enumerate(LONGEST) if name in path), len(LONGEST))
    items.sort(key=lambda item: rank(item.nodeid.partition("::")[0]))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """The garbage collector rests while tests are imported, and never looks through what they imported."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class ByFile(LoadFileScheduling):
    """A worker takes a file at a time, and all of tests/page at once: these share a browser and a server."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "tests/page" if file.startswith("tests/page/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)


def seed() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """What serves several tests is made from the same random state too, whichever test asks for it first."""
    seed()


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state."""
    seed()


@pytest.fixture(scope="session")
def mnist() -> Path:
    """A folder of MNIST's four IDX files: its first 3,000 training and 500 test digits."""
    return DATA / "mnist"


@pytest.fixture(scope="session")
def space(tmp_path_factory):
    """The address of the app on the bundled models: it takes seconds to start and keeps its visitors apart,
    so that all tests may share it."""
    from tests.live import serving

    with serving(tmp_path_factory.mktemp("space"), LWGAN_REGISTRY="bundled") as address:
        yield address


@pytest.fixture(scope="module")
def server():
    """A Hub on 127.0.0.1 for the tests of a module."""
    from tests.hub_server import MiniHub

    with MiniHub() as server:
        yield server


@pytest.fixture
def hub(server, monkeypatch, tmp_path):
    """An empty Hub, and a client that knows nothing of it yet."""
    from lwgan.hub import pushing as hub_push

    server.clear()
    server.serve(monkeypatch, tmp_path / "home")
    monkeypatch.setattr(hub_push, "PUSH_PAUSE", 0.001)
    return server


@pytest.fixture(scope="session")
def servers():
    """Hubs that stay open to the very end: what a client has given up goes on in the background, and on a
    refused connection closes all others of its process. At the end a hundred of them end at once."""
    with contextlib.ExitStack() as stack:
        opened = []
        yield lambda server: opened.append(server) or stack.enter_context(server)
        for server in opened:
            server.stop()


@pytest.fixture(params=["lfs", "xet"])
def lasting_hub(request, servers, monkeypatch, tmp_path):
    """A Hub for one test alone, by each way of transfer, whose faults end with the test."""
    from tests.hub_server import MiniHub

    server = servers(MiniHub())
    server.serve(monkeypatch, tmp_path / "home", xet=request.param == "xet")
    yield server
    server.faults.clear()


@pytest.fixture(scope="session")
def faces_registry(tmp_path_factory) -> Path:
    """The faces domain in a folder (tests.nets.make_faces_registry), to be read only."""
    from tests.nets import make_faces_registry

    return make_faces_registry(tmp_path_factory.mktemp("faces"))
