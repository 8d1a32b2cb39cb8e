"""Programs with `run` and `Popen`."""

import concurrent.futures
import contextlib
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import warnings

from common import PY, WORD_SECONDS, code, snippet, subprocess


@snippet
def run_and_look():
    done = subprocess.run(["echo", "hello"], capture_output=True, text=True)
    print(done, done.returncode, done.check_returncode())
    print(subprocess.run("exit 3", shell=True), subprocess.run(["true"]))


@snippet
def check_fails():
    for call in (subprocess.check_call, subprocess.check_output):
        try:
            call(["sh", "-c", "echo out; echo err >&2; exit 4"], stderr=subprocess.DEVNULL)
        except subprocess.CalledProcessError as error:
            print(error, error.cmd, error.returncode, error.output, error.stdout, error.stderr, error.args)
            print(repr(error), pickle.loads(pickle.dumps(error)))


@snippet
def stderr_to_stdout():
    print(subprocess.check_output("echo a; echo b >&2; echo c", shell=True, stderr=subprocess.STDOUT))
    print(subprocess.check_output(["cat"], input=b"given"), subprocess.check_output(["cat"], input="text", text=True))
    print(subprocess.check_output(["cat"], input=None), repr(subprocess.check_output(["cat"], input=None, text=True)))


@snippet
def refused_arguments():
    for call in (
        lambda: subprocess.check_output(["true"], stdout=subprocess.PIPE), lambda: subprocess.check_output(["true"], check=True),
        lambda: subprocess.run(["true"], input=b"", stdin=subprocess.PIPE),
        lambda: subprocess.run(["true"], capture_output=True, stderr=subprocess.PIPE),
        lambda: subprocess.Popen(["true"], bufsize="x"),
        lambda: subprocess.Popen(["true"], text=True, universal_newlines=False), lambda: subprocess.Popen([]),
        lambda: subprocess.Popen(["true"], startupinfo=1), lambda: subprocess.Popen(["true"], creationflags=1),
        lambda: subprocess.run(["cat"], input="text"), lambda: subprocess.run(["cat"], input=b"bytes", text=True),
        lambda: subprocess.Popen(["true"], cwd="/nowhere"), lambda: subprocess.Popen(["nowhere"]), lambda: subprocess.Popen(["/"]),
        lambda: subprocess.Popen(["true"], env={"A=B": "c"}), lambda: subprocess.Popen(None),
        lambda: subprocess.Popen([1]), lambda: subprocess.Popen(["true"], pipesize="x"), lambda: subprocess.Popen(["true"], user=-1),
        lambda: subprocess.Popen(["true"], group=1.5), lambda: subprocess.Popen(["true"], extra_groups="x"),
        lambda: subprocess.Popen(["true"], user="no such user"), lambda: subprocess.Popen(["true"], pass_fds=[-5]),
        lambda: subprocess.Popen(["true"], encoding="no such encoding", stdout=subprocess.PIPE),
        lambda: subprocess.Popen("true", stdout="file"), lambda: subprocess.Popen("true", cwd=5), lambda: subprocess.run(),
        lambda: subprocess.getoutput(["true"]).strip(),
        lambda: subprocess.Popen(["true"], stdin=1 << 20),
    ):
        try:
            with call() as child:
                print("started", child)
        except Exception as error:
            bases = [base.__name__ for base in type(error).__mro__ if base.__module__ in ("builtins", "subprocess")]
            print(bases[0] if isinstance(error, OSError) is False else bases, error, getattr(error, "errno", None),
                  getattr(error, "filename", None))


@snippet
def popen_with_pipes():
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.stdin.write("one\ntwo\n")
    child.stdin.close()
    print(list(child.stdout), child.wait(), child.stdin.closed, child.stdout.closed)
    child.stdout.close()
    print(type(child.stdout).__name__, child.args, child.universal_newlines, child.stderr)


@snippet
def talk_line_by_line():
    child = subprocess.Popen(code("for line in iter(input, 'end'): print(line.upper(), flush=True)"), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True, bufsize=1)
    for word in ("one", "two", "three"):
        child.stdin.write(word + "\n")
        print(child.stdout.readline(), end="")
    print(child.communicate("end\n"), child.returncode, child.stdin.line_buffering)


@snippet
def read_until_empty():
    with subprocess.Popen(["sh", "-c", "echo one; echo two; echo three"], stdout=subprocess.PIPE) as child:
        for line in iter(child.stdout.readline, b""):
            print(line)
    print(child.returncode, child.stdout.closed)


@snippet
def communicate_timeout():
    child = subprocess.Popen(code("import sys,time; print('first', flush=True); sys.stdin.read(); print('last')"),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        child.communicate(timeout=0.3)
    except subprocess.TimeoutExpired as error:
        print(error.cmd == child.args, error.timeout, str(error).startswith("Command"), child.returncode)
    print(child.communicate(), child.returncode)
    child = subprocess.Popen(["sleep", "30"], stdout=subprocess.PIPE)
    try:
        child.communicate(timeout=0.1)
    except subprocess.TimeoutExpired as error:
        print(error, error.output)
        child.kill()
    print(child.communicate(), child.returncode)


@snippet
def run_timeout():
    try:
        subprocess.run(code("import time; print('so far', flush=True); time.sleep(60)"), capture_output=True, timeout=WORD_SECONDS)
    except subprocess.TimeoutExpired as error:
        print(error.timeout, error.output, error.stdout, error.stderr, isinstance(error, subprocess.SubprocessError))
        print(pickle.loads(pickle.dumps(error)).output)
    child = subprocess.Popen(["sleep", "30"])
    try:
        child.wait(timeout=0.05)
    except subprocess.TimeoutExpired as error:
        print(error)
    child.terminate()
    print(child.wait(), child)


@snippet
def shell_pipeline():
    first = subprocess.Popen(["printf", "b\\na\\nc\\n"], stdout=subprocess.PIPE)
    second = subprocess.Popen(["sort"], stdin=first.stdout, stdout=subprocess.PIPE, text=True)
    first.stdout.close()
    print(second.communicate(), first.wait(), second.returncode)
    print(subprocess.run("printf 'x\\ny\\n' | wc -l", shell=True, capture_output=True, text=True).stdout.strip())


@snippet
def text_modes():
    raw = code(r"import sys; sys.stdout.buffer.write(b'a\r\nb\rc\n\xe4')")
    for more in ({}, {"text": True, "errors": "replace"}, {"encoding": "latin-1"}, {"universal_newlines": True, "errors": "ignore"},
                 {"encoding": "utf-8", "errors": "backslashreplace"}, {"errors": "surrogateescape"}):
        print(subprocess.run(raw, stdout=subprocess.PIPE, **more).stdout)
        with subprocess.Popen(raw, stdout=subprocess.PIPE, **more) as child:
            print(child.stdout.read(), getattr(child.stdout, "errors", None), child.encoding == more.get("encoding"), child.errors)
    try:
        subprocess.run(raw, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    except UnicodeDecodeError as error:
        print(error)


@snippet
def env_and_cwd():
    os.environ["KEPT"] = "yes"
    show = code("import os; print(os.getcwd(), os.environ.get('KEPT'), os.environ.get('NEW'))")
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run(show, cwd=folder, env={**os.environ, "NEW": "new"}, capture_output=True, text=True).stdout
        print(out.replace(os.path.realpath(folder), "FOLDER"))
        print(subprocess.run(show, cwd="/", env={"NEW": "only"}, capture_output=True, text=True).stdout)
        print(subprocess.run(["env"], env={}, capture_output=True).stdout)


@snippet
def poll_loop():
    child = subprocess.Popen(["sh", "-c", "read line; exit 7"], stdin=subprocess.PIPE)
    print(child.poll(), child.returncode, child)
    child.stdin.close()
    while child.poll() is None:
        time.sleep(0.01)
    print(child.poll(), child.returncode, child)


@snippet
def signals():
    for send in (lambda child: child.terminate(), lambda child: child.kill(), lambda child: child.send_signal(signal.SIGUSR1)):
        with subprocess.Popen(["sleep", "30"]) as child:
            send(child)
            print(child.wait(), child.returncode, child)
            send(child)  # nothing happens any more
    try:
        subprocess.run("kill -9 $$", shell=True, check=True)
    except subprocess.CalledProcessError as error:
        print(error)


@snippet
def handled_signal():
    child = subprocess.Popen(code("import signal,time,sys\nsignal.signal(signal.SIGTERM, lambda *a: sys.exit(5))\n"
                                  "print('ready', flush=True)\ntime.sleep(30)"), stdout=subprocess.PIPE, text=True)
    print(child.stdout.readline())
    child.terminate()
    print(child.communicate(), child.returncode)


@snippet
def process_group():
    child = subprocess.Popen("sleep 30 & echo started; wait", shell=True, preexec_fn=os.setsid, stdout=subprocess.PIPE)
    print(child.stdout.readline(), os.getpgid(child.pid) == child.pid, os.getsid(child.pid) == child.pid)
    os.killpg(os.getpgid(child.pid), signal.SIGTERM)
    print(child.wait(), child.communicate())
    with subprocess.Popen(["sleep", "30"], start_new_session=True) as child:
        print(os.getsid(child.pid) == child.pid)
        child.kill()
    with subprocess.Popen(["sleep", "30"], process_group=0) as child:
        print(os.getpgid(child.pid) == child.pid, os.getsid(child.pid) == os.getsid(0))
        child.kill()


@snippet
def old_functions():
    print(subprocess.call(["false"]), subprocess.getoutput("echo out; echo err >&2"), subprocess.getstatusoutput("exit 9"))
    print(subprocess.getstatusoutput("kill -15 $$"), subprocess.getoutput("printf 'a\\nb\\n\\n'").encode())
    print(subprocess.list2cmdline(["a b", 'c"d', "e\\", ""]), subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL)


@snippet
def files_as_streams():
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile("w+") as err, tempfile.TemporaryFile() as source:
        source.write(b"from a file")
        source.seek(0)
        print(subprocess.call("cat; echo oops >&2", shell=True, stdin=source, stdout=out, stderr=err))
        out.seek(0)
        err.seek(0)
        print(out.read(), err.read())
    print(subprocess.run(["cat"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout)
    print(subprocess.run("echo x >&2", shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))


@snippet
def context_managers():
    with contextlib.suppress(ZeroDivisionError), subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdin.write(b"never read")
        1 / 0
    print(child.returncode, child.stdin.closed, child.stdout.closed)
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(subprocess.Popen(["true"])) for _ in range(5)]
    print([child.returncode for child in children])


@snippet
def broken_pipe():
    child = subprocess.Popen(["true"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    child.wait()
    try:
        child.stdin.write(b"x")
    except BrokenPipeError as error:
        print(error)
    print(child.communicate(b"ignored" * 100000), subprocess.run(["true"], input=b"x" * 1000000).returncode)


@snippet
def warnings_of_the_careless():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        child = subprocess.Popen(["sleep", "30"])
        pid = child.pid
        del child
        print([str(one.message).replace(str(pid), "PID") for one in seen], [one.category.__name__ for one in seen])
    os.kill(pid, signal.SIGKILL)
    with warnings.catch_warnings(record=True) as seen, tempfile.TemporaryFile() as file:
        warnings.simplefilter("always")
        subprocess.Popen(["true"], close_fds=False, pass_fds=[file.fileno()]).wait()
        print([(str(one.message), one.category.__name__) for one in seen])


@snippet
def encoding_warning():
    program = ("import sys, warnings\nif %r: import procs as subprocess\nelse: import subprocess\n"
               "with warnings.catch_warnings(record=True) as seen:\n warnings.simplefilter('always')\n"
               " subprocess.run(['true'], text=True)\n subprocess.Popen(['true'], text=True).wait()\n subprocess.check_output(['true'], text=True)\n"
               " subprocess.run(['true'], encoding='locale')\n subprocess.getoutput('true')\n"
               "print([(str(one.message), one.category.__name__, one.filename, one.lineno) for one in seen])")
    done = subprocess.run([PY, "-X", "warn_default_encoding", "-c", program % (subprocess.__name__ == "procs")], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    print(done.stdout, done.stderr)


@snippet
def audit_events():
    seen = []
    sys.addaudithook(lambda name, args: seen.append(args) if name == "subprocess.Popen" else None)
    subprocess.run(["true"])
    subprocess.Popen("exit 0", shell=True, cwd="/", env={"A": "b"}).wait()
    subprocess.run(("true",), executable="/bin/true", timeout=10)
    subprocess.check_output(["echo"], text=True)
    print(seen)


@snippet
def descriptors():
    read, write = os.pipe()
    show = code("import os,sys; os.write(int(sys.argv[1]), b'by number')", str(write))
    print(subprocess.run(show, pass_fds=[write]).returncode, os.read(read, 100))
    print(subprocess.run(show, stderr=subprocess.DEVNULL).returncode)
    os.set_inheritable(write, True)
    print(subprocess.run(show, close_fds=False).returncode, os.read(read, 100))
    os.close(read)
    os.close(write)


@snippet
def sizes_and_masks():
    import fcntl
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pipesize=8192) as child:
        print([fcntl.fcntl(file, fcntl.F_GETPIPE_SZ) for file in (child.stdin, child.stdout)], child.pipesize)
    print(subprocess.run("umask", shell=True, umask=0o27, capture_output=True).stdout)
    print(subprocess.run(["ls"], cwd="/proc/self", executable="/bin/true").args)
    print(subprocess.run(b"echo bytes", shell=True, capture_output=True).stdout, subprocess.run([b"echo", "str"], capture_output=True).stdout)


@snippet
def threads_around_run():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        print(list(pool.map(lambda n: subprocess.run(["sh", "-c", f"exit {n}"]).returncode, range(24))))
    child = subprocess.Popen(["sh", "-c", "read line; exit 6"], stdin=subprocess.PIPE)
    codes = []
    waiters = [threading.Thread(target=lambda: codes.append(child.wait())) for _ in range(4)]
    for waiter in waiters:
        waiter.start()
    child.stdin.close()
    for waiter in waiters:
        waiter.join()
    print(codes)


@snippet
def reader_threads():
    child = subprocess.Popen("for i in 1 2 3; do echo out$i; echo err$i >&2; done", shell=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    seen = {}

    def pump(name, file):
        seen[name] = [line.rstrip() for line in file]

    pumps = [threading.Thread(target=pump, args=pair) for pair in (("out", child.stdout), ("err", child.stderr))]
    for one in pumps:
        one.start()
    for one in pumps:
        one.join()
    print(seen["out"], seen["err"], child.wait())
    child.stdout.close()
    child.stderr.close()


@snippet
def interrupted_run():
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(RuntimeError("alarm")))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        subprocess.run(["sleep", "30"])
    except RuntimeError as error:
        print(error)
    child = subprocess.Popen(["sleep", "30"])
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        child.wait()
    except RuntimeError as error:
        print(error, child.poll())
    child.kill()
    print(child.wait())


@snippet
def keyboard_interrupt():
    child = subprocess.Popen(code(
        "import sys, signal, os, threading\nif %r: import procs as subprocess\nelse: import subprocess\n"
        "try:\n threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        " subprocess.run(['sleep', '30'])\nexcept KeyboardInterrupt: print('interrupted')" % (subprocess.__name__ == "procs")),
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    print(child.communicate(timeout=60), child.returncode)


@snippet
def subclass_and_attributes():
    class Child(subprocess.Popen):
        def wait(self, *args, **kwargs):
            print("wait is mine")
            return super().wait(*args, **kwargs)

    with Child(["true"]) as child:
        pass
    print(child.returncode, isinstance(child, subprocess.Popen), subprocess.Popen[bytes], subprocess.CompletedProcess[str])
    print(repr(subprocess.CompletedProcess(["a"], 1, b"out")), subprocess.TimeoutExpired("cmd", 3), subprocess.CalledProcessError(-9, "cmd"))
    print(subprocess.CalledProcessError(-200, "cmd"), subprocess.CalledProcessError(2, ["a"], output="o").stdout)
    error = subprocess.TimeoutExpired(["x"], 1.5, output=b"o", stderr=b"e")
    error.stdout = b"changed"
    print(error.output, error.stderr, repr(error))
