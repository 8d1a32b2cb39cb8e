"""Captured runs."""

from facts import DEVNULL, flag, long, procs, run, scenario, show, status, text


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
