# mypy: ignore-errors
# Private: the types that users see are in __init__.pyi and aio/__init__.pyi.
"""What ``Popen.communicate`` does with the pipes, in as many calls as timeouts make of it."""

import os

from ._errors import InvalidStateError
from ._arguments import refused
from ._pipes import leftover
from ._plan import translate


def feed(stdin, input):
    """Writes the input and closes the file; a child that does not want it is no error."""
    try:
        if input:
            stdin.write(input)
    except BrokenPipeError:
        pass
    finally:
        close_input(stdin)


def close_input(stdin):
    """Closes the file, whether or not the child wants what is still in it."""
    try:
        stdin.close()
    except BrokenPipeError:
        pass


def _flushed(stdin):
    """Whether there is still something to feed into."""
    try:
        stdin.flush()
    except BrokenPipeError:
        pass
    except ValueError:
        if not stdin.closed:
            raise
        return False
    return True


def _encoded(input, stdin):
    try:
        return input.encode(stdin.encoding, stdin.errors)
    except AttributeError as error:
        raise refused(error, "input", input, "str in text mode") from None


class Communication:
    """Feeds one child and reads both of its outputs, on copies of the pipes that the core has.

    ``files`` are standard input, output and error, None where there is no pipe.
    """

    def __init__(self, child, files, text_mode, input):
        stdin, *self._outputs = files
        self._text_mode = text_mode
        self._ahead = [b"", b""]
        # What was read of both, once nothing more will be.
        self._parts = None
        # Whether a call has ended before all was done.
        self._paused = False
        fds = [None, None, None]
        options = {}
        if stdin and _flushed(stdin):
            fds[0] = stdin.fileno()
            if input:
                options["input"] = _encoded(input, stdin) if text_mode else input
        for index, file in enumerate(self._outputs):
            if file and not file.closed:
                fds[index + 1] = file.fileno()
                self._ahead[index] = leftover(file.buffer if text_mode else file)
        self._capture = child.capture(tuple(fds), options)
        if stdin:
            close_input(stdin)

    def run(self, timeout):
        """Feeds and reads for at most ``timeout`` seconds: whether all is done. Can be called again if not."""
        if self._paused:
            self._set_blocking(False)
        self._paused = True
        try:
            self._paused = not self._capture.run(timeout)
        finally:
            if self._paused:
                self._set_blocking(True)
        return not self._paused

    def _set_blocking(self, on):
        """Between two calls the files are the program's to read from. They share their flags with the copies that the core reads."""
        for file in self._outputs:
            if file and not file.closed:
                os.set_blocking(file.fileno(), on)

    def partial(self):
        """The bytes of both outputs so far."""
        return self._joined(self._capture.partial())

    def _joined(self, parts):
        return [ahead + part if ahead else part for ahead, part in zip(self._ahead, parts)]

    def give_up(self):
        """Ends it: the core's copies of the pipes would keep the child from noticing that nobody reads."""
        if self._parts is None:
            try:
                self._parts = self.partial()
            except InvalidStateError:
                return  # another thread is in it
            self._capture.release()

    def finish(self):
        """Takes what was read, once the child has ended: the error that lost some of it, else None."""
        outcome, *parts = self._capture.finish()
        if outcome.lost:
            return outcome.sink_error(outcome.lost)
        self._parts = self._joined(parts)
        return None

    @property
    def over(self):
        """Whether nothing more will be read."""
        return self._parts is not None

    def result(self):
        """What ``communicate`` returns of both outputs, when it is over."""
        made = []
        for file, data in zip(self._outputs, self._parts):
            text = file is not None and self._text_mode
            made.append(translate(data, file.encoding, file.errors) if text else data if file is not None else None)
        return tuple(made)
