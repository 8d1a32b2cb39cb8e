# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""``Popen``: one child with pipes as Python files, shaped like ``subprocess.Popen``."""

import errno
import io
import itertools
import signal
import sys
import time
import types
import warnings

from . import _arguments, _handles, _native, _options
from ._communicate import Communication, feed
from ._errors import InvalidArgumentError, InvalidNumberError, SubprocessError, TimeoutExpired
from ._lines import LINE_BLOCK, byte_batches, text_batches, untouched
from ._options import PIPE
from ._pipes import BLOCK, open_reader
from ._records import ExitStatus, StopReport, Usage
from ._stop import ladder

# How long a child is left to end by itself after Ctrl-C, which the terminal sent to it as well.
_POLITE_SECONDS = 0.25


def _moment(timeout):
    """When a timeout will have passed, on the clock of deadlines; None for never."""
    return None if timeout is None else time.monotonic() + _arguments.seconds(timeout)


class Popen:
    """Starts a child. All arguments of ``subprocess.Popen`` mean what they mean there; ``preexec_fn`` may be ``os.setsid`` or
    ``os.setpgrp`` only.

    Besides: ``kill_tree`` (stopping reaches all descendants), ``limits`` (``{"nofile": 64}``), ``nice``, ``affinity``,
    ``no_new_privs``, ``die_with_parent``, ``controlling_tty``, ``foreground``, ``fds`` (``{child number: descriptor or PIPE}``),
    ``signals`` (``"restore"``, ``"default"`` or ``"inherit"``), ``tree_level``, ``kill_on_drop``, ``offload``
    and ``channel`` (True, or a dict with ``codec`` and the options of a ``Channel``).

    Attributes: ``args``, ``pid``, ``returncode`` (None while it runs, negative for a signal), ``stdin``, ``stdout``, ``stderr``,
    ``channel`` (None without one). Leaving a ``with`` block closes the streams and the channel, then waits.
    A ``Popen`` that is collected leaves the process running, with a ResourceWarning; it is reaped when it ends.
    """

    _child_created = False
    stdin = stdout = stderr = channel = pid = returncode = None
    text_mode = encoding = errors = None
    _communication = _result = None
    _communication_started = _chooses_handles = False
    _devnull = None
    _spawn = staticmethod(_native.spawn)

    def __init__(self, args, bufsize=-1, executable=None, stdin=None, stdout=None, stderr=None, preexec_fn=None, close_fds=True,
                 shell=False, cwd=None, env=None, universal_newlines=None, startupinfo=None, creationflags=0,
                 restore_signals=True, start_new_session=False, pass_fds=(), *, user=None, group=None, extra_groups=None,
                 encoding=None, errors=None, text=None, umask=-1, pipesize=-1, process_group=None, kill_tree=False,
                 tree_level=None, limits=None, nice=None, affinity=None, no_new_privs=False, die_with_parent=False,
                 parent_death_signal=None, controlling_tty=None, foreground=False, signals=None, fds=None, kill_on_drop=False,
                 offload=False, channel=None):
        self.args = args
        self.pipesize = pipesize
        if (not (executable is preexec_fn is cwd is env is universal_newlines is startupinfo is user is group is extra_groups
                 is encoding is errors is text is process_group is tree_level is limits is nice is affinity
                 is parent_death_signal is controlling_tty is signals is fds is None)
                or not close_fds or not restore_signals or umask != -1 or pipesize != -1 or shell or pass_fds or creationflags
                or start_new_session or kill_tree or no_new_privs or die_with_parent or foreground or kill_on_drop or offload):
            given = dict(locals())
            del given["channel"], given["self"]
        else:
            # The common case: only streams, nothing to check, and no time to lose.
            given = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        self._execute_child(args, given, channel, -1 if bufsize is None else bufsize)

    def __init_subclass__(cls, **more):
        super().__init_subclass__(**more)
        cls._chooses_handles = cls._get_handles is not Popen._get_handles

    def _get_handles(self, stdin, stdout, stderr):
        return _handles.usual(self, stdin, stdout, stderr)

    def _execute_child(self, args, given, channel, bufsize):
        if not isinstance(bufsize, int):
            raise _arguments.refused(TypeError("bufsize must be an integer"), "bufsize", bufsize, "an integer")
        if not self._chooses_handles:
            self._start(args, given, channel, bufsize)
            return
        chosen = _handles.Handles(self, given)
        try:
            self._start(args, chosen.replace(given), channel, bufsize, chosen.host)
        except BaseException:
            if not self._child_created:
                chosen.close()
            raise
        chosen.close_childs()

    def _start(self, args, given, channel, bufsize, ends=None):
        if len(given) > 3:
            self.text_mode, self.encoding, self.errors = _options.text_mode(given)
            argv = _options.argument_vector(args, given["shell"], given["executable"])
            options = _options.native_options(given)
        else:
            argv = args if args and type(args) is list else _options.argument_vector(args, False, None)
            options = _options.streams(given)
        program = argv[0] if given.get("executable") is None else given["executable"]
        sys.audit("subprocess.Popen", program, argv, given.get("cwd"), given.get("env"))
        try:
            if channel is None or channel is False:
                self._child = self._spawn(argv, options)
            else:
                settings = _options.channel_settings(channel)
                self._child, self.channel = _native.spawn_with_channel(argv, options, settings.pop("codec", "json"), settings)
        except OSError as error:
            raise _options.start_error(error, argv, given)
        self._child_created = True
        self.pid = self._child.pid
        if options or ends is not None:
            self._open_files(options, bufsize, ends)

    def _open_files(self, options, bufsize, ends):
        line_buffering = bool(self.text_mode) and bufsize == 1
        if line_buffering:
            bufsize = -1
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            if ends is not None:
                fd = ends[number]
            else:
                fd = self._child.take_fd(number) if options.get(name) == PIPE else -1
            if fd == -1:
                continue
            file = open_reader(fd, bufsize, self.text_mode) if number else io.open(fd, "wb", bufsize)
            if self.text_mode:
                extra = {} if number else {"write_through": True, "line_buffering": line_buffering}
                file = io.TextIOWrapper(file, encoding=self.encoding, errors=self.errors, **extra)
                if number:
                    file._CHUNK_SIZE = BLOCK  # fewer trips to the decoder; it still takes what there is
            setattr(self, name, file)

    def __repr__(self):
        text = f"<{type(self).__name__}: returncode: {self.returncode} args: {self.args!r}>"
        return text if len(text) <= 80 else text[:76] + "...>"

    __class_getitem__ = classmethod(types.GenericAlias)

    @property
    def universal_newlines(self):
        """The older name of ``text_mode``."""
        return self.text_mode

    @universal_newlines.setter
    def universal_newlines(self, on):
        self.text_mode = bool(on)

    def __enter__(self):
        return self

    def __exit__(self, exc_type, value, traceback):
        if self._communication is not None:
            self._communication.give_up()
        # The channel as well: a child that waits for messages ends with it.
        for end in (self.stdout, self.stderr, self.channel):
            if end:
                end.close()
        try:
            if self.stdin:
                self.stdin.close()
        finally:
            if exc_type is KeyboardInterrupt:
                self._linger()
            else:
                self.wait()

    def __del__(self, _warn=warnings.warn):
        if self._child_created and self.returncode is None:
            _warn(f"subprocess {self.pid} is still running", ResourceWarning, source=self)

    def _linger(self):
        if self.returncode is None and self._child.linger(_POLITE_SECONDS):
            self.poll()

    @property
    def status(self):
        """The return code told apart: an ``ExitStatus``; None while it runs or before it was waited for."""
        return ExitStatus.of(self.returncode)

    def poll(self):
        """The return code if the child has ended, else None."""
        if self.returncode is None:
            self.returncode = self._child.poll()
        return self.returncode

    def wait(self, timeout=None):
        """Waits for the end, at most ``timeout`` seconds, and returns the return code. Does not read the pipes.

        Raises ``TimeoutExpired``; ``ChildProcessError`` when somebody else took the exit status.
        """
        if self.returncode is None:
            if self._communication is not None and self._nobody_reads():
                self._communication.give_up()
            try:
                self.returncode = self._child.wait(timeout)
            except KeyboardInterrupt:
                self._linger()
                raise
            if self.returncode is None:
                raise TimeoutExpired(self.args, timeout)
        return self.returncode

    def _nobody_reads(self):
        """Whether the program has closed all files of outputs there were."""
        files = [file for file in (self.stdout, self.stderr) if file]
        try:
            return bool(files) and all([file.closed for file in files])
        except ValueError:  # detached: it has the file below
            return False

    def send_signal(self, sig):
        """Sends a signal; nothing happens when the child has ended."""
        number = _arguments.index(sig, "sig", "the number of a signal")
        if self.poll() is None:
            try:
                self._child.send_signal(number)
            except ProcessLookupError:
                pass  # it ended in between
            except InvalidArgumentError as error:
                raise InvalidNumberError(errno.EINVAL, str(error)) from None

    def terminate(self):
        """Sends SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def stop(self, grace=5.0, *, steps=None, tree=None):
        """Ends the child: SIGTERM, ``grace`` seconds, SIGKILL; or ``steps``, a list of (action, seconds) with the actions
        ``"wait"``, ``"close-stdin"``, ``"kill"`` or a signal. ``tree`` reaches all descendants (default: as started).

        Returns a ``StopReport``. An exception of a signal handler, such as ``KeyboardInterrupt``, ends the wait with SIGKILL.
        """
        plan = ladder(steps, grace, self.stdin)
        report = StopReport(**self._child.stop(plan, tree))
        self.poll()
        return report

    def kill_tree(self):
        """Kills the child and all its descendants with the strongest means there is. Returns a ``StopReport``."""
        report = StopReport(**self._child.kill_tree())
        self.poll()
        return report

    def fileno(self):
        """A descriptor that is readable once the child has ended, for selectors and event loops. It belongs to the Popen."""
        return self._child.fileno()

    @property
    def usage(self):
        """What the child used, once it was waited for: a ``Usage``."""
        outcome = self._child.outcome
        return Usage(*outcome.usage) if outcome is not None and outcome.usage is not None else None

    @property
    def tree_level(self):
        """The means that stopping the tree will use: process, group, walk or cgroup."""
        return self._child.tree_level

    def take_fd(self, number):
        """The host's end of an extra pipe asked for with ``fds``: a socket's descriptor, which the caller closes. Once."""
        return self._child.take_fd(number)

    def communicate(self, input=None, timeout=None):
        """Feeds ``input``, reads both pipes to their end, waits, and returns ``(stdout, stderr)``; None where there is no pipe.

        After a ``TimeoutExpired`` (``timeout`` in seconds) it can be called again and nothing is lost.
        """
        if self._communication_started and input:
            raise ValueError("Cannot send input after starting communication")
        if self._result is not None:
            return self._result
        if timeout is None and not self._communication_started and [self.stdin, self.stdout, self.stderr].count(None) >= 2:
            return self._communicate_one(input)
        if self.stdin is None and self.stdout is None and self.stderr is None:
            self.wait(timeout)
            return None, None
        end = _moment(timeout)
        if self._communication is None:
            self._communication_started = True
            files = (self.stdin, self.stdout, self.stderr)
            self._communication = Communication(self._child, files, self.text_mode, input)
        elif self._communication.over:
            return self._communication.result()
        try:
            finished = self._communication.run(timeout)
        except KeyboardInterrupt:
            if self._child.linger(_POLITE_SECONDS if end is None else min(_POLITE_SECONDS, max(0, end - time.monotonic()))):
                self.poll()
            raise
        if not finished:
            output, errors = self._communication.partial()
            raise TimeoutExpired(self.args, timeout, output=output or None, stderr=errors or None)
        return self._communicated()

    def _communicated(self):
        lost = self._communication.finish()
        self.wait()
        if lost is not None:
            raise lost
        self._result = self._communication.result()
        for file in (self.stdout, self.stderr):
            if file is not None:
                file.close()
        return self._result

    def _communicate_one(self, input):
        """At most one pipe and no deadline: the file object itself is enough, and keeps what it has read ahead."""
        output = errors = None
        try:
            if self.stdin:
                feed(self.stdin, input)
            elif self.stdout:
                output = self.stdout.read()
                self.stdout.close()
            elif self.stderr:
                errors = self.stderr.read()
                self.stderr.close()
            self.wait()
        except KeyboardInterrupt:
            self._linger()
            raise
        return output, errors

    def chunks(self, size=262144):
        """Yields standard output as bytes of at most ``size``, as it comes. The pipe is enlarged once there is much."""
        file = self._binary_stdout()
        size = _arguments.positive(size, "size", "bytes, 1 or more")
        while data := file.read1(size):
            yield data
        self.stdout.close()

    def lines(self, *, keep_ends=False):
        """Iterates over the lines of standard output without their ends: str in text mode, else bytes. No line is too long; a last
        line without newline is delivered. Each line comes as soon as it is there."""
        stdout = self._need_stdout()
        if keep_ends or (self.text_mode and not untouched(stdout)):
            return self._plain_lines(keep_ends)
        chunks = self.chunks(LINE_BLOCK)
        batches = text_batches(chunks, stdout.encoding, stdout.errors) if self.text_mode else byte_batches(chunks)
        return itertools.chain.from_iterable(batches)

    def _plain_lines(self, keep_ends):
        newline = "\n" if self.text_mode else b"\n"
        for line in self.stdout:
            yield line if keep_ends else line.removesuffix(newline)
        self.stdout.close()

    def _need_stdout(self):
        if self.stdout is None:
            raise SubprocessError("lines: no pipe to read (stdout, expected PIPE)")
        return self.stdout

    def _binary_stdout(self):
        file = self._need_stdout()
        return file.buffer if self.text_mode else file


def wait_any(children, timeout=None):
    """Waits until one of the children (``Popen``) has ended, at most ``timeout`` seconds, and returns it; None when the time passed."""
    try:
        children = list(children)
        natives = [child._child for child in children]
    except (AttributeError, TypeError, ValueError):
        raise TypeError(f"wait_any: not children (children = {_arguments.shown(children)}, expected a list of Popen)") from None
    index = _native.wait_any(natives, timeout)
    if index is None:
        return None
    children[index].poll()
    return children[index]
