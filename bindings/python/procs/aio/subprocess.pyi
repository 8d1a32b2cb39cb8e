"""Types of ``procs.aio.subprocess``."""

from . import DEVNULL as DEVNULL
from . import PIPE as PIPE
from . import STDOUT as STDOUT
from . import Process as Process
from . import create_subprocess_exec as create_subprocess_exec
from . import create_subprocess_shell as create_subprocess_shell

__all__ = ["DEVNULL", "PIPE", "Process", "STDOUT", "create_subprocess_exec", "create_subprocess_shell"]
