"""fork, multiprocessing and threads around the engine."""

import os
import select
import signal
import subprocess
import sys
import tempfile
import textwrap

import pytest
import procs
from conftest import PROGRAM_SECONDS, SLOW


def program(code, *options):
    done = subprocess.run([sys.executable, *options, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_starts_no_thread():
    assert program("""
        import os, procs
        print(len(os.listdir("/proc/self/task")))
    """) == "1\n"


def test_fork_in_the_middle():
    assert program("""
        import os, procs
        children = [procs.Popen(["cat"], stdin=procs.PIPE) for _ in range(3)]
        procs.run(["echo", "a"], capture_output=True, timeout=60)
        pid = os.fork()
        if pid == 0:
            ok = procs.run(["echo", "child"], capture_output=True, timeout=60).stdout == b"child\\n"
            ok = ok and [r.stdout for r in procs.run_many([["echo", str(n)] for n in range(4)])] == [b"0\\n", b"1\\n", b"2\\n", b"3\\n"]
            os._exit(0 if ok else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        for child in children:
            child.stdin.close()
        print([child.wait() for child in children])
    """) == "[0, 0, 0]\n"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method, tmp_path):
    (tmp_path / "job.py").write_text(textwrap.dedent(f"""
        import multiprocessing, procs
        def work(n):
            return procs.check_output(["echo", str(n)], text=True, timeout=60)
        if __name__ == "__main__":
            procs.run(["true"])
            with multiprocessing.get_context("{method}").Pool(3) as pool:
                print("".join(pool.map(work, range(6))).split())
    """))
    done = subprocess.run([sys.executable, "job.py"], capture_output=True, text=True, timeout=PROGRAM_SECONDS)
    assert done.stdout == "['0', '1', '2', '3', '4', '5']\n", done.stderr


def test_beside_subprocess_and_asyncio():
    assert program("""
        import asyncio, procs, subprocess, threading
        results = []
        def ours():
            results.extend(procs.run(["sh", "-c", "exit 3"]).returncode for _ in range(30))
        def theirs():
            results.extend(subprocess.run(["sh", "-c", "exit 3"]).returncode for _ in range(30))
        async def loop():
            for _ in range(30):
                results.append(await (await asyncio.create_subprocess_exec("sh", "-c", "exit 3")).wait())
        threads = [threading.Thread(target=target) for target in (ours, theirs)]
        for thread in threads:
            thread.start()
        asyncio.run(loop())
        for thread in threads:
            thread.join()
        print(len(results), set(results))
    """) == "90 {3}\n"


def test_a_program_may_end_with_everything_pending():
    program("""
        import procs, threading
        children = [procs.Popen(["sleep", "0.2"], stdout=procs.PIPE) for _ in range(5)]
        for child in children:
            threading.Thread(target=child.wait, daemon=True).start()
        threading.Thread(target=lambda: procs.run(["sleep", "0.3"], capture_output=True), daemon=True).start()
    """, "-W", "ignore")


def test_sub_interpreters_are_refused_cleanly():
    pytest.importorskip("_xxsubinterpreters")
    assert program("""
        import _xxsubinterpreters as interpreters
        import sys
        number = interpreters.create()
        interpreters.run_string(number, '''if True:
            import sys
            sys.path[:] = %r
            try:
                import procs
            except ImportError as error:
                print("refused", flush=True)
        ''' % (sys.path,))
        interpreters.destroy(number)
    """) == "refused\n"


def test_the_switches_of_sigchld_do_not_matter():
    assert program("""
        import procs, signal
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        codes = []
        for call in (lambda: procs.run(["sh", "-c", "exit 3"]).returncode, lambda: procs.Popen(["sh", "-c", "exit 3"]).wait()):
            try:
                codes.append(call())
            except ChildProcessError:
                codes.append(3)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        codes.append(procs.run(["sh", "-c", "exit 3"]).returncode)
        print(codes)
    """) == "[3, 3, 3]\n"


@pytest.mark.parametrize("call", [
    "kind(procs.run(command, capture_output=True).stdout)",
    "kind(procs.Popen(command, stdout=procs.PIPE, stderr=procs.PIPE).communicate()[0])",
    "kind(readable(procs.Popen(command, stdout=procs.PIPE, stderr=procs.PIPE)).communicate()[0])",
    "asyncio.run(awaited())",  # asyncio.run makes a repr of what the coroutine returns
])
def test_large_output_is_held_once(call):
    """The peak of memory is the output and little more."""
    assert program(f"""
        import asyncio, procs, resource, select
        from procs import aio
        size = 128 << 20
        def readable(child):
            select.select([child.stdout], [], [])
            return child
        command = ["head", "-c", str(size), "/dev/zero"]
        def kind(data):
            return type(data) is bytes and len(data) == size
        async def awaited():
            return kind((await aio.run(command, capture_output=True)).stdout)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        right = {call}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        print(right, peak < 1.2 * size)
    """) == "True True\n"


COUNT = 500 if os.environ.get("PROCS_TEST_FULL") == "1" else 50


def test_fork_at_random_moments():
    """Children of a fork in the middle of other threads' runs can run programs of their own."""
    assert program(f"""
        import os, procs, threading
        ending = threading.Event()
        def work():
            while not ending.is_set():
                procs.run(["true"], capture_output=True, timeout=60)
        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        codes = []
        for _ in range({COUNT}):
            pid = os.fork()
            if pid == 0:
                try:
                    ok = procs.run(["true"]).returncode == 0 and procs.check_output(["echo", "x"], timeout=60) == b"x\\n"
                finally:
                    os._exit(0 if ok else 1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        ending.set()
        for worker in workers:
            worker.join()
        print(set(codes))
    """) == "{0}\n"


def test_ctrl_c_at_random_moments():
    """Whatever the program is doing, it ends with KeyboardInterrupt and leaves no child behind."""
    code = textwrap.dedent("""
        import procs, sys
        try:
            print("on", flush=True)
            while True:
                procs.run(["sleep", "0.01"])
                procs.run(["echo", "x"], capture_output=True, timeout=60)
                with procs.Popen(["cat"], stdin=procs.PIPE, stdout=procs.PIPE) as child:
                    child.communicate(b"x", timeout=60)
        except KeyboardInterrupt:
            sys.exit(42)
    """)
    for index in range(COUNT // 5):
        with tempfile.TemporaryFile() as said, subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=said, start_new_session=True) as running:
            assert running.stdout.readline() == b"on\n"
            ready, _, _ = select.select([running.stdout], [], [], 0.003 * index)
            assert not ready
            running.send_signal(signal.SIGINT)
            try:
                code_seen = running.wait(timeout=20 * SLOW)
            except subprocess.TimeoutExpired:
                # Python drops what is raised in the middle of a destructor, says so, and goes on: once more.
                said.seek(0)
                assert b"Exception ignored in" in said.read()
                running.send_signal(signal.SIGINT)
                code_seen = running.wait(timeout=20 * SLOW)
            finally:
                running.kill()
            assert code_seen == 42


def test_a_program_ends_at_once_whatever_is_pending():
    for _ in range(COUNT // 5):
        program("""
            import procs, threading
            for _ in range(10):
                procs.Popen(["true"])
            threads = [threading.Thread(target=lambda: procs.run(["true"], capture_output=True), daemon=True) for _ in range(5)]
            for thread in threads:
                thread.start()
        """, "-W", "ignore")


def test_the_import_brings_no_event_loop_and_no_multiprocessing():
    # What the interpreter's own start has imported does not count.
    program = """
        import sys, threading
        before = set(sys.modules)
        import procs
        rare = {"asyncio", "concurrent.futures", "json", "multiprocessing", "pickle", "ssl", "typing"}
        print(sorted(rare & (set(sys.modules) - before)), len(threading.enumerate()))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "[] 1\n"


@pytest.mark.parametrize("free", range(4))
def test_children_are_stopped_whatever_descriptors_are_left(free):
    assert program(f"""
        import os, procs, resource
        children = [procs.Popen(["sleep", "20"]) for _ in range(2)]
        pair = procs.Pipeline(["sleep", "20"], ["sleep", "20"]).spawn(stdin=procs.DEVNULL, stdout=procs.DEVNULL)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        fillers = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
        os.closerange(fillers[-1] + 1 - {free}, fillers[-1] + 1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1, hard))
        reports = [children[0].stop(grace=60), *pair.stop(grace=60)]
        try:
            children[1].kill_tree()
        except OSError as error:
            assert (error.kind, {free} < 4) == ("EXHAUSTED", True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        print([report.ended_by for report in reports], children[1].wait(timeout=60))
    """) == "['SIGTERM', 'SIGTERM', 'SIGTERM'] -9\n"


@pytest.mark.parametrize("module", [subprocess, procs], ids=lambda module: module.__name__)
def test_a_file_that_was_detached_is_the_programs(module):
    child = module.Popen(["echo", "word"], stdout=subprocess.PIPE, text=True)
    with child.stdout.detach() as below:
        assert below.read() == b"word\n"
    assert child.wait(timeout=60) == 0
    assert child.poll() == 0
