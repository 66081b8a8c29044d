"""``python launch.py PARENT COMMAND...``: become COMMAND, and die when PARENT does.

A Java that notices the end of its input exits by itself, but not one that is stopped or hangs. On
Linux the kernel can kill a process with its parent, and this setting is kept by ``exec``.
Asking for it between fork and exec of a threaded program is not safe, so a small program asks.
To the kernel the parent is the thread that started us: it should live as long as the simulator.
"""

import os
import sys

if __name__ == "__main__":
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        import ctypes
        import signal

        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):
            sys.exit(1)  # it died before the kernel was asked
    os.execv(command[0], command)
