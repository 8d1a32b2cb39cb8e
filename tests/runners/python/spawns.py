"""Children that are waited for, stopped and set up."""

from facts import DEVNULL, HELPER, PIPE, flag, path, piped, procs, quiet, run, scenario, status, text


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
