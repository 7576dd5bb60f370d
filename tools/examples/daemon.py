#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""How a daemon in Python marks itself: once, before it serves."""

import fcntl
import struct
import sys
import threading

MARK = 0xC020D505  # MEMSCOPE_IOC_MARK of <linux/memscope.h>
HOLD, PROCESS = 1 << 0, 1 << 1
NOIO, NOFS, LOCAL_THROTTLE = 1 << 0, 1 << 1, 1 << 2


def hold_process(scopes, timeout_ms=1000):
    """Marks every thread, those to come as well, until what it returns is closed.

    Programs that the daemon starts are not marked: Python's files are close-on-exec.
    """
    device = open("/dev/memscope", "r+b", buffering=0)
    # flags, scopes, pidfd, timeout_ms, done, remaining, stopped, blocked
    mark = struct.pack("=IIiIIIII", HOLD | PROCESS, scopes, 0, timeout_ms, 0, 0, 0, 0)
    fcntl.ioctl(device, MARK, mark)
    return device


def main():
    hold = hold_process(NOIO | LOCAL_THROTTLE)
    # Stands for what serves requests.
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    print("serving", flush=True)
    # ... until there is nobody to serve.
    sys.stdin.read()
    hold.close()


if __name__ == "__main__":
    main()
