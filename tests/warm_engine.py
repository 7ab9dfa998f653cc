"""Engines forked from a process that has the heavy imports behind it, for sessions to start.

`python warm_engine.py serve PATH` imports what an engine needs and listens at a socket.
`python warm_engine.py start PATH RUN ...` stands in a session's hands for the engine's own
process: it has the server fork one that does what `python -m ecotui.engine RUN ...` does, with
the same output, environment and working directory, and ends as that one ended. Where it dies
itself, or its parent does, the engine's owner is gone. Importing torch and timm takes seconds,
and is no part of what most tests of the command are about.

A setting that a library reads from the environment as it is imported is the server's.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys

MAX_REQUEST_BYTES = 1_000_000
POLL_SECONDS = 0.02
OWNER = "--owner-pid"


def start(path: str, arguments: list[str]) -> int:
    """Have an engine forked, wait for its end, and return how it ended."""
    request = {"arguments": arguments, "environ": dict(os.environ), "folder": os.getcwd()}
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        socket.send_fds(server, [b"."], [0, 1, 2])
        server.sendall(json.dumps(request).encode() + b"\n")
        parent = os.getppid()
        while not select.select([server], [], [], POLL_SECONDS)[0]:
            if os.getppid() != parent:
                return 1
        status = server.makefile("rb").readline()
    if not status:
        raise SystemExit("the server of warm engines is gone")
    code = int(status)
    if code < 0:  # end by the same signal
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def serve(path: str) -> None:
    """Fork an engine for each who connects, until the standard input ends."""
    import gc

    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from tests.faults.server import import_everything

    listener = socket.socket(socket.AF_UNIX)
    import_everything()
    gc.collect()
    gc.freeze()  # the collector of a child would otherwise copy every page
    listener.bind(path)
    listener.listen()
    sys.stdout.write(f"{len(os.listdir('/proc/self/task')) if os.path.isdir('/proc') else 1}\n")
    sys.stdout.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    while True:
        ready, _, _ = select.select([0, listener.fileno()], [], [])
        if 0 in ready:
            return
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _attend(client)
        client.close()


def _attend(client: socket.socket) -> None:
    """Be the parent of one engine; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, _, _ = socket.recv_fds(client, 1, 3)
    request = json.loads(client.makefile("rb").readline(MAX_REQUEST_BYTES))
    arguments = request["arguments"]
    if OWNER in arguments:  # which an engine knows as its parent
        arguments[arguments.index(OWNER) + 1] = str(os.getpid())
    engine = os.fork()
    if engine == 0:
        client.close()
        _be_an_engine(descriptors, **request)
    for descriptor in descriptors:
        os.close(descriptor)
    while not (ended := os.waitpid(engine, os.WNOHANG))[0]:
        if select.select([client], [], [], POLL_SECONDS)[0]:  # its other end is closed
            os._exit(1)
    status = ended[1]
    client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _be_an_engine(
    descriptors: list[int], arguments: list[str], environ: dict[str, str], folder: str
) -> None:
    """Do what `python -m ecotui.engine` does with these arguments; never returns."""
    import random
    import runpy
    import traceback

    import numpy as np

    try:
        os.setsid()
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
            os.close(descriptor)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        # A new interpreter seeds them from the system.
        random.seed()
        np.random.seed()
        sys.argv = ["ecotui.engine", *arguments]
        runpy.run_module("ecotui.engine", run_name="__main__", alter_sys=True)
    except SystemExit as left:
        sys.stdout.flush()
        os._exit(left.code if isinstance(left.code, int) else 1 if left.code else 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        raise SystemExit(start(sys.argv[2], sys.argv[3:]))
