"""fork, multiprocessing and threads around the engine."""

import subprocess
import sys
import textwrap

import pytest


def program(code, *options):
    done = subprocess.run([sys.executable, *options, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=80)
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
    done = subprocess.run([sys.executable, "job.py"], capture_output=True, text=True, timeout=80)
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
