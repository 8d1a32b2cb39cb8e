"""Types of ``procs.aio.subprocess``."""

from . import DEVNULL as DEVNULL
from . import PIPE as PIPE
from . import STDOUT as STDOUT
from .aio import Process as Process
from .aio import create_subprocess_exec as create_subprocess_exec
from .aio import create_subprocess_shell as create_subprocess_shell
