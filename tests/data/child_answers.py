"""What the tests of `data.child` run: it answers, or does what a broken decoder does."""

import json
import os
import signal
import sys
import time
from multiprocessing.connection import Connection


def serve(pipe: Connection) -> None:
    pipe.send_bytes(b"{}")
    while True:
        do = json.loads(pipe.recv_bytes())["do"]
        if do == "hang":
            time.sleep(600)
        elif do == "abort":
            os.kill(os.getpid(), signal.SIGABRT)
        elif do == "leave":
            os._exit(3)
        elif do == "flood":
            pipe.send_bytes(bytes(2000))
        elif do == "print":
            print("noise" * 10_000)
        pipe.send_bytes(str(os.getpid()).encode())
        pipe.send_bytes(os.environ["OMP_NUM_THREADS"].encode())


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
