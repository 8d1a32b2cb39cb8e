"""The scenarios in Python: `python.py ID` prints the facts of one, `--list` the ids. `scenarios/README.md` has the rules.

With `--peer` the same code runs on `subprocess`, for the scenarios that it can have, and with `--aio` on `procs.aio` or, both given, on
asyncio; `bindings/python/tests` compares them.
"""

import errno
import hashlib
import json
import os
import signal
import sys

PEER, AIO = "--peer" in sys.argv, "--aio" in sys.argv
if AIO:
    import python_aio
    procs = python_aio.face(PEER)
elif PEER:
    import subprocess as procs
else:
    import procs

PIPE, DEVNULL = procs.PIPE, procs.DEVNULL
HELPER = os.environ.get("PROCS_TEST_CHILD", "")
DIR = os.environ.get("PROCS_TEST_DIR", "")
SCENARIOS = {}


def scenario(name, own=False, asyncio=True):
    """Adds a scenario; `own` is one that uses what only procs has, and without `asyncio` one that asyncio alone cannot have."""
    def add(function):
        if not (PEER and (own or AIO and not asyncio)):
            SCENARIOS[name] = function
        return function
    return add


# ---- facts ----

def text(name, data):
    decoded = (data or b"").decode()
    print(f"{name} text={quoted(decoded)}")


def quoted(decoded):
    return json.dumps(decoded, ensure_ascii=False).replace("\\b", "\\u0008").replace("\\f", "\\u000c")


def long(name, data):
    print(f"{name} bytes={len(data)} sha256={hashlib.sha256(data).hexdigest()}")


def flag(name, value):
    print(f"flag {name}={str(value).lower() if isinstance(value, bool) else value}")


def ending(code):
    return f"code=none signal={signal.Signals(-code).name}" if code < 0 else f"code={code} signal=none"


def status(code):
    print("status", ending(code))


def failure(start):
    """The error of a start or run that must fail."""
    try:
        start()
    except (OSError, ValueError) as error:
        kind = getattr(error, "kind", None) or peer_kind(error)
        if kind == "INVALID_ARGUMENT":
            print("error kind=INVALID_ARGUMENT")
            return
        number = getattr(error, "errno", None)
        print(f"error kind={kind} stage={getattr(error, 'stage', None) or 'none'} errno={errno.errorcode.get(number, 'none')}")
    else:
        raise AssertionError("it did not fail")


def peer_kind(error):
    """The kind that our table gives the classes that subprocess raises."""
    table = ((FileNotFoundError, "NOT_FOUND"), (NotADirectoryError, "NOT_FOUND"), (PermissionError, "PERMISSION_DENIED"),
             (OSError, "IO"), (ValueError, "INVALID_ARGUMENT"))
    return next(kind for cls, kind in table if isinstance(error, cls))


# ---- starting ----

def run(*args, **options):
    """A captured run of the helper, as every scenario means it."""
    if "input" not in options:
        options.setdefault("stdin", DEVNULL)
    options.setdefault("stdout", PIPE)
    options.setdefault("stderr", PIPE)
    return procs.run([HELPER, *args], **options)


def quiet(*args, **options):
    return procs.Popen([HELPER, *args], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, **options)


def piped(*args, **options):
    return procs.Popen([HELPER, *args], stdin=DEVNULL, stdout=PIPE, **options)


def path(name):
    return os.path.join(DIR, name)


def show(done):
    status(done.returncode)
    text("stdout", done.stdout)
    text("stderr", done.stderr)


# ---- runs ----

@scenario("run-echo")
def run_echo():
    show(run("echo", "hello world"))


@scenario("run-exit-code")
def run_exit_code():
    show(run("fail", "3", "", "went wrong\n"))


@scenario("run-signal-death")
def run_signal_death():
    done = run("die", "SIGTERM")
    status(done.returncode)
    text("stdout", done.stdout)


@scenario("run-input-filter")
def run_input_filter():
    done = run("upper", input=b"one two\nthree\n")
    status(done.returncode)
    text("stdout", done.stdout)


@scenario("run-big-output")
def run_big_output():
    done = run("flood", "8388608", "1")
    status(done.returncode)
    long("stdout", done.stdout)
    text("stderr", done.stderr)


@scenario("run-both-pipes-full")
def run_both_pipes_full():
    letters = bytes(ord("a") + index for index in range(26))
    done = run("stderr-then-stdout", "204800", "10", "204800", input=(letters * (5242880 // 26 + 1))[:5242880])
    status(done.returncode)
    long("stdout", done.stdout)
    long("stderr", done.stderr)


@scenario("run-missing-program")
def run_missing_program():
    failure(lambda: procs.run(["procs-no-such-program"], capture_output=True))
    failure(lambda: procs.run([path("missing/program")], capture_output=True))


@scenario("run-missing-cwd")
def run_missing_cwd():
    failure(lambda: run("echo", "hi", cwd=path("missing")))
    failure(lambda: run("echo", "hi", cwd=HELPER))


@scenario("run-not-executable")
def run_not_executable():
    write("plain", "#!/bin/true\n", 0o644)
    failure(lambda: procs.run([path("plain")], capture_output=True))
    failure(lambda: procs.run([DIR], capture_output=True))


@scenario("run-noexec-format")
def run_noexec_format():
    write("noshebang", "echo pwned\n", 0o755)
    failure(lambda: procs.run([path("noshebang")], capture_output=True))


def write(name, content, mode):
    with open(path(name), "w") as file:
        file.write(content)
    os.chmod(path(name), mode)


@scenario("run-empty-program")
def run_empty_program():
    failure(lambda: procs.run([""], capture_output=True))


@scenario("run-nul-argument")
def run_nul_argument():
    failure(lambda: run("echo", "a\0b"))
    failure(lambda: run("echo", "hi", env={**os.environ, "BAD": "a\0b"}))
    failure(lambda: run("echo", "hi", env={**os.environ, "A=B": "c"}))


@scenario("run-env-clear")
def run_env_clear():
    text("stdout", run("env", env={}).stdout)
    text("stdout", run("env", env={"A": "1"}).stdout)


@scenario("run-env-set")
def run_env_set():
    env = {**os.environ, "SCENARIO_SET": "two words", "SCENARIO_EMPTY": "", "SCENARIO_UTF8": "é"}
    del env["SCENARIO_REMOVE"]
    done = run("env", "SCENARIO_SET", "SCENARIO_EMPTY", "SCENARIO_UTF8", "SCENARIO_KEEP", "SCENARIO_REMOVE", env=env)
    status(done.returncode)
    text("stdout", done.stdout)


@scenario("run-cwd")
def run_cwd():
    os.mkdir(path("inner"))
    done = run("cwd", "name", cwd=path("inner"))
    status(done.returncode)
    text("stdout", done.stdout)


@scenario("run-merge-stderr")
def run_merge_stderr():
    done = run("interleave", "1000", stderr=procs.STDOUT)
    status(done.returncode)
    long("stdout", done.stdout)


@scenario("run-stdin-null")
def run_stdin_null():
    done = run("count")
    status(done.returncode)
    text("stdout", done.stdout)


@scenario("run-shell")
def run_shell():
    line = '"$SCENARIO_HELPER" echo one | "$SCENARIO_HELPER" upper; exit 5'
    done = procs.run(line, shell=True, stdin=DEVNULL, capture_output=True)
    status(done.returncode)
    text("stdout", done.stdout)


@scenario("run-args-bytes")
def run_args_bytes():
    controls = "".join(map(chr, range(1, 32)))
    done = run("argv", "", " ", "$(id)", ";", "a\nb", "'", '"', "\\", "*", "-rf", "--", controls, "é€😀")
    status(done.returncode)
    text("stdout", done.stdout)


@scenario("run-check-fails")
def run_check_fails():
    try:
        run("fail", "7", "partial\n", "reason\n", check=True)
    except procs.CalledProcessError as error:
        print(f"error kind={getattr(error, 'kind', 'CHILD_FAILED')} stage=none errno=none")
        status(error.returncode)
        text("stdout", error.stdout)
        text("stderr", error.stderr)


@scenario("run-usage", own=True)
def run_usage():
    done = run("burn", "0.2")
    flag("cpu_time", done.usage.user_time + done.usage.system_time >= 0.1)
    flag("max_rss", done.usage.max_rss_bytes > 0)
    flag("wall_time", done.wall_time >= 0.1)


# ---- limits ----

def timed(*args, **options):
    try:
        run(*args, timeout=0.5, **options)
    except procs.TimeoutExpired as error:
        flag("timed_out", True)
        text("stdout", error.stdout)
        if not PEER:
            flag("pipes_left_open", error.completed.pipes_left_open)


@scenario("run-timeout")
def run_timeout():
    timed("say", "before\n", "30")


@scenario("run-timeout-grandchild", asyncio=False)
def run_timeout_grandchild():
    timed("grandchild-wait", "60", path("stop"))


@scenario("run-timeout-tree", own=True)
def run_timeout_tree():
    timed("grandchild-wait", "60", kill_tree=True)


@scenario("run-limit-error", own=True)
def run_limit_error():
    try:
        run("flood", "67108864", "1", max_output=("error", 65536))
    except procs.TooLargeError as error:
        flag("limit_exceeded", error.completed.stdout_report.limit_exceeded)
        long("stdout", error.output)


@scenario("run-limit-head", own=True)
def run_limit_head(policy="head"):
    done = run("flood", "1000000", "1", max_output=(policy, 1000))
    status(done.returncode)
    flag("truncated", done.stdout_report.truncated)
    long("stdout", done.stdout)


@scenario("run-limit-tail", own=True)
def run_limit_tail():
    run_limit_head("tail")


# ---- streams ----

def lines_of(child):
    """The lines without their ends, by the language's idiom."""
    return [line.removesuffix(b"\n") for line in child.stdout] if PEER else list(child.lines())


@scenario("stream-lines")
def stream_lines():
    with piped("lines", "1000") as child:
        lines = lines_of(child)
    flag("lines", len(lines))
    text("line index=0", lines[0])
    text("line index=999", lines[999])
    status(child.returncode)


@scenario("stream-long-line", asyncio=False)
def stream_long_line():
    with piped("line", "5000000") as child:
        lines = lines_of(child)
    flag("lines", len(lines))
    long("line index=0", lines[0])
    text("line index=1", lines[1])
    status(child.returncode)


@scenario("stream-no-final-newline")
def stream_no_final_newline():
    with piped("print", "a\\n\\nb") as child:
        lines = lines_of(child)
    flag("lines", len(lines))
    for index, line in enumerate(lines):
        text(f"line index={index}", line)
    status(child.returncode)


# ---- children ----

@scenario("spawn-wait")
def spawn_wait():
    child = quiet("exit", "9")
    flag("pid_positive", child.pid > 0)
    status(child.wait())
    status(child.wait())


@scenario("spawn-kill")
def spawn_kill():
    child = quiet("sleep", "60")
    child.kill()
    status(child.wait())


def stopped_when_ready(*args, **stop):
    with piped(*args) as child:
        assert child.stdout.readline() == b"ready\n"
        child.stop(**stop)
    status(child.returncode)


@scenario("spawn-stop-ladder", own=True)
def spawn_stop_ladder():
    stopped_when_ready("on-term", "42")


@scenario("spawn-stop-ignores-term", own=True)
def spawn_stop_ignores_term():
    stopped_when_ready("ignore-term", grace=0.2)


@scenario("spawn-stopped-child", own=True)
def spawn_stopped_child():
    stopped_when_ready("stopped")


@scenario("spawn-null-streams")
def spawn_null_streams():
    status(quiet("fds", path("list")).wait())
    with open(path("list"), "rb") as file:
        text("file", file.read())


@scenario("spawn-to-file")
def spawn_to_file():
    for word, mode in (("one", "wb"), ("two", "ab")):
        with open(path("out"), mode) as file:
            status(procs.Popen([HELPER, "echo", word], stdin=DEVNULL, stdout=file).wait())
    with open(path("out"), "rb") as file:
        text("file", file.read())


@scenario("spawn-argv0")
def spawn_argv0():
    with procs.Popen(["other name", "argv0"], executable=HELPER, stdin=DEVNULL, stdout=PIPE) as child:
        text("stdout", child.stdout.read())
    status(child.returncode)


@scenario("spawn-process-group")
def spawn_process_group():
    text("stdout", run("session", "relations", process_group=0).stdout)
    text("stdout", run("session", "relations", start_new_session=True).stdout)


@scenario("spawn-umask-and-limits", own=True)
def spawn_umask_and_limits():
    text("stdout", run("umask", umask=0o027).stdout)
    text("stdout", run("limits", "nofile", "core", limits={"nofile": 64, "core": 0}).stdout)


# ---- many ----

def show_stages(result):
    for index, stage in enumerate(result.stages):
        print(f"stage index={index} {ending(stage.returncode)}")


@scenario("pipeline-three", own=True)
def pipeline_three():
    result = procs.Pipeline([HELPER, "lines", "3"], [HELPER, "upper"], [HELPER, "cat"]).run()
    show_stages(result)
    text("stdout", result.stdout)


@scenario("pipeline-status", own=True)
def pipeline_status():
    result = procs.Pipeline([HELPER, "lines", "3"], [HELPER, "cat", "4"], [HELPER, "cat"]).run()
    show_stages(result)
    status(result.returncode)
    text("stdout", result.stdout)


@scenario("pipeline-missing-stage", own=True)
def pipeline_missing_stage():
    failure(procs.Pipeline([HELPER, "sleep", "60"], [HELPER, "cat"], ["procs-no-such-program"]).run)


@scenario("many-wait-any", own=True)
def many_wait_any():
    children = [quiet("sleep", "60"), quiet("sleep", "60"), quiet("exit", "5")]
    ended = procs.wait_any(children)
    flag("index", children.index(ended))
    status(ended.wait())
    for child in children[:2]:
        child.kill()
        status(child.wait())


@scenario("many-run-bounded", own=True)
def many_run_bounded():
    commands = [[HELPER, "slots", path("slots"), "2", str(index)] for index in range(8)]
    for index, done in enumerate(procs.run_many(commands, jobs=2)):
        print(f"result index={index} {ending(done.returncode)} stdout={quoted(done.stdout.decode())}")


if not PEER and not AIO:
    import python_ipc
    python_ipc.add(scenario, sys.modules[__name__])


def main():
    names = [argument for argument in sys.argv[1:] if argument not in ("--peer", "--aio")]
    if names == ["--list"]:
        print("\n".join(SCENARIOS))
        return 0
    if names[:1] == ["--child"]:
        python_ipc.PARTS[names[1]]()
        return 0
    if len(names) != 1 or names[0] not in SCENARIOS or not HELPER or not DIR:
        print("usage: python.py [--peer] [--aio] --list | ID, with PROCS_TEST_CHILD and PROCS_TEST_DIR set", file=sys.stderr)
        return 64
    SCENARIOS[names[0]]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
