"""The brokers beside which ours is measured: each a process of its own on a free port of 127.0.0.1, with nothing kept afterwards.

Mosquitto, NATS and RabbitMQ come from Debian (`mosquitto`, `nats-server`, `rabbitmq-server`), amqtt from PyPI, aedes from npm
(`npm install --no-save --no-package-lock --prefix benchmarks aedes`, or a folder named by EMS_BENCH_NODE). All let anybody in.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.servers import Candidate, Fleet, Server

HERE = Path(__file__).resolve().parent
START_S = 40.0
STOP_S = 15.0
RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
RABBIT_HEAP = "beam.smp"


def binary(name: str) -> str:
    """Its path, or nothing; Debian keeps brokers in /usr/sbin."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the port answers; RuntimeError with the end of its log when the process ends first, or takes too long."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(encoding="utf-8", errors="replace")[-800:]) from None
            time.sleep(0.05)
        else:
            return


@contextmanager
def running(
    home: Path, command: list[str | Path], port: int, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The process while its port answers; its whole group is gone afterwards."""
    log = home / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=home,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    try:
        listening(process, port, log)
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_S)


@contextmanager
def mosquitto(extra: str, home: Path, _fleet: Fleet) -> Iterator[Server]:
    home.mkdir(parents=True)
    port = free_port()
    config = home / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n{extra}", encoding="utf-8")
    with running(home, [binary("mosquitto"), "-c", config], port) as process:
        yield Server(("127.0.0.1", port), [process.pid])


@contextmanager
def nats(home: Path, _fleet: Fleet) -> Iterator[Server]:
    """JetStream on disk, as NATS needs it for MQTT."""
    home.mkdir(parents=True)
    port = free_port()
    config = home / "nats.conf"
    config.write_text(
        f'server_name: bench\nlisten: "127.0.0.1:{free_port()}"\njetstream {{ store_dir: "{home / "store"}" }}\n'
        f'mqtt {{ listen: "127.0.0.1:{port}", max_ack_pending: 65535 }}\n',
        encoding="utf-8",
    )
    with running(home, [binary("nats-server"), "-c", config], port) as process:
        yield Server(("127.0.0.1", port), [process.pid])


@contextmanager
def rabbitmq(home: Path, _fleet: Fleet) -> Iterator[Server]:
    """Its node with the MQTT plugin, in folders and under a port mapper of its own."""
    home.mkdir(parents=True)
    port, mapper = free_port(), str(free_port())
    (home / "enabled_plugins").write_text("[rabbitmq_mqtt].\n", encoding="utf-8")
    (home / "rabbitmq.conf").write_text(
        f"listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\nmqtt.allow_anonymous = true\nmqtt.prefetch = 1000\n",
        encoding="utf-8",
    )
    env = {
        "HOME": str(home), "ERL_EPMD_PORT": mapper, "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "bench@localhost", "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"), "RABBITMQ_LOG_BASE": str(home / "logs"), "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(home / "pid"), "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
    }  # fmt: skip
    try:
        with running(home, [RABBIT], port, env) as process:
            yield Server(("127.0.0.1", port), descendants(process.pid, RABBIT_HEAP))
    finally:
        subprocess.run(
            [binary("epmd"), "-kill"], env={**os.environ, **env}, capture_output=True, timeout=STOP_S, check=False
        )


@contextmanager
def amqtt(home: Path, _fleet: Fleet) -> Iterator[Server]:
    home.mkdir(parents=True)
    port = free_port()
    config = home / "amqtt.yaml"
    config.write_text(
        f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\n    max_connections: 20000\n"
        "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n",
        encoding="utf-8",
    )
    with running(home, [Path(sys.executable).with_name("amqtt"), "-c", config], port) as process:
        yield Server(("127.0.0.1", port), [process.pid])


@contextmanager
def aedes(home: Path, _fleet: Fleet) -> Iterator[Server]:
    home.mkdir(parents=True)
    port = free_port()
    command: list[str | Path] = [binary("node"), HERE / "aedes.mjs", str(port), str(node_modules() / "aedes")]
    with running(home, command, port) as process:
        yield Server(("127.0.0.1", port), [process.pid])


def descendants(pid: int, name: str) -> list[int]:
    """Processes of this name below `pid`, which may be one itself."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = path.read_text(encoding="ascii", errors="replace")
            group = int(text.rpartition(")")[2].split()[2])
            if group == pid and text[text.index("(") + 1 : text.rindex(")")] == name:
                found.append(int(text.split(maxsplit=1)[0]))
    return found


def node_modules() -> Path:
    return Path(os.environ.get("EMS_BENCH_NODE", HERE)) / "node_modules"


def needs(name: str, package: str = "") -> Callable[[], str]:
    return lambda: "" if binary(name) else package or name


def _needs_aedes() -> str:
    if not binary("node"):
        return "node 20"
    return "" if (node_modules() / "aedes").is_dir() else "aedes (npm install --no-save --prefix benchmarks aedes)"


NO_LOSS = "max_queued_messages 0\nmax_inflight_messages 0\n"

MOSQUITTO = Candidate("mosquitto", "Mosquitto, no loss", partial(mosquitto, NO_LOSS), needs("mosquitto"))
MOSQUITTO_DEFAULT = Candidate("mosquitto-default", "Mosquitto, default", partial(mosquitto, ""), needs("mosquitto"))
AEDES = Candidate("aedes", "aedes", aedes, _needs_aedes, slow=True)
NATS = Candidate("nats", "NATS JetStream MQTT", nats, needs("nats-server"), slow=True)
RABBITMQ = Candidate(
    "rabbitmq", "RabbitMQ MQTT", rabbitmq, lambda: "" if RABBIT.exists() else "rabbitmq-server", slow=True
)
AMQTT = Candidate(
    "amqtt", "amqtt", amqtt, lambda: "" if importlib.util.find_spec("amqtt") else "amqtt (PyPI)", slow=True
)
PEERS = (MOSQUITTO, MOSQUITTO_DEFAULT, AEDES, NATS, RABBITMQ, AMQTT)
