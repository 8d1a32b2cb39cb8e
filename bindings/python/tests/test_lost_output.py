"""Output that cannot be kept: no room for a file, no memory, a failed read. No call takes such a run for a success."""

import asyncio
import errno
import os
import pickle
import resource

import pytest
from test_processes import program

import procs
from procs import aio

FULL = [("append", "/dev/full")]
FLOOD = ["head", "-c", "100000", "/dev/zero"]
ALL = {
    "run": procs.run,
    "aio": lambda args, **options: asyncio.run(aio.run(args, **options)),
    "run_many": lambda args, **options: procs.run_many([args], **options)[0],
    "aio.run_many": lambda args, **options: asyncio.run(aio.run_many([args], **options))[0],
    "Pipeline": lambda args, stdout=None, **options: procs.Pipeline(args).run(**options),
    "aio.Pipeline": lambda args, stdout=None, **options: asyncio.run(aio.Pipeline(args).run(**options)),
}


def outcome(way, **options):
    """The result, or the exception raised or given."""
    try:
        return ALL[way](FLOOD, stdout=procs.PIPE, **options)
    except Exception as error:
        return error


@pytest.mark.parametrize("way", ALL)
def test_c16_a_full_disk_is_no_success(way):
    told = outcome(way, stdout_sink=["buffer", *FULL])
    assert told.returncode == 0 and len(told.stdout) == 100_000
    assert told.stdout_report.sink_error.errno == errno.ENOSPC and not told.stdout_report.incomplete
    with pytest.raises(procs.ExhaustedError) as raised:
        told.check_returncode()
    assert raised.value.errno == errno.ENOSPC and len(raised.value.output) == 100_000
    checked = outcome(way, stdout_sink=["buffer", *FULL], check=True)
    assert checked.errno == errno.ENOSPC and checked.kind == "EXHAUSTED" and len(checked.output) == 100_000


def test_c16_a_lost_sink_survives_a_pickle():
    done = pickle.loads(pickle.dumps(procs.run(["echo", "x"], stdout_sink=FULL)))
    assert done.stdout_report.sink_error.errno == errno.ENOSPC
    with pytest.raises(procs.ExhaustedError):
        done.check_returncode()


def test_c16_a_reader_of_a_sink_may_go_away():
    reader, writer = os.pipe()
    os.close(reader)
    done = procs.run(FLOOD, stdout=procs.PIPE, stdout_sink=["buffer", writer], check=True)
    os.close(writer)
    assert done.stdout_report.sink_error.errno == errno.EPIPE and len(done.stdout) == 100_000


def test_c16_the_error_output_of_a_stage_has_a_limit():
    with pytest.raises(procs.TooLargeError, match=r"stages\[0\].stderr"):
        procs.Pipeline(["sh", "-c", "yes >&2"], ["cat"]).run(max_output=1000, timeout=60)


def test_c16_a_pipeline_gives_its_spill():
    for way in ("Pipeline", "aio.Pipeline"):
        done = outcome(way, max_output=("spill", 1000))
        with done.stdout_report.spill as file:
            assert len(file.read()) == 100_000 and len(done.stdout) == 1000


def no_room_for_a_spill():
    """In a process of its own: the limit is the whole process's."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
    for way in ALL:
        for check in (False, True):
            error = outcome(way, max_output=("spill", 1000), check=check)
            assert isinstance(error, procs.SystemCallError) and error.errno == errno.EFBIG and len(error.output) == 1000, (way, check, error)
    with pytest.raises(OSError, match="File too large") as raised:
        procs.check_output(FLOOD, max_output=("spill", 1000))
    assert raised.value.completed.stdout_report.incomplete


def test_c16_no_room_for_a_spill():
    program(f"""
        import sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import test_lost_output
        test_lost_output.no_room_for_a_spill()
    """)


def test_c05_a_failed_read_is_an_error():
    """The memory of this process at address 0, which nobody can read, in the place of a pipe."""
    with procs.Popen(["true"], stdout=procs.PIPE, stderr=procs.PIPE) as child:
        child.stdout.close()
        child.stdout = open("/proc/self/mem", "rb", 0)
        with pytest.raises(OSError, match="Input/output error"):
            child.communicate(timeout=60)
        with pytest.raises(procs.InvalidStateError):
            child.communicate(timeout=60)
