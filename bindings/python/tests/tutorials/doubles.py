"""Programs that put something of theirs in the place of `Popen` or a function: tests with mocks, tracers, subclasses."""

from unittest import mock

from common import snippet, subprocess


@snippet
def mocked_popen():
    with mock.patch.object(subprocess, "Popen") as popen:
        child = popen.return_value.__enter__.return_value
        child.configure_mock(**{"communicate.return_value": (b"told", b""), "poll.return_value": 0, "wait.return_value": 4})
        print(subprocess.run(["false"], stdout=subprocess.PIPE, check=True).stdout, subprocess.check_output(["false"]), subprocess.call("true"))
        print(popen.call_args_list, child.communicate.call_args_list, child.wait.call_args_list)
        child.communicate.side_effect = subprocess.TimeoutExpired("false", 3)
        try:
            subprocess.run("false", timeout=3)
        except subprocess.TimeoutExpired as error:
            print(error, child.kill.call_count)
        child.configure_mock(**{"communicate.side_effect": None, "poll.return_value": 5, "args": "as given"})
        try:
            subprocess.run("false", input=b"in", capture_output=True, check=True)
        except subprocess.CalledProcessError as error:
            print(error, error.cmd, error.output, error.stderr, popen.call_args)
    print(subprocess.run(["false"]))


@snippet
def mocked_functions():
    with mock.patch.object(subprocess, "run") as run:
        run.return_value.stdout = "told\n"
        print(subprocess.check_output(["false"]), subprocess.getoutput("false"), subprocess.call("false"))
        print(run.call_args_list)
    with mock.patch.object(subprocess, "call", return_value=0) as call:
        print(subprocess.check_call(["false"], timeout=5), call.call_args)
    with mock.patch.object(subprocess, "check_output", side_effect=subprocess.CalledProcessError(7, "x", "why\n")) as check:
        print(subprocess.getstatusoutput("true"), check.call_args)
    with mock.patch.object(subprocess, "getstatusoutput", return_value=(0, "told")):
        print(subprocess.getoutput("false"))


@snippet
def traced_popen():
    seen = []
    start, wait = subprocess.Popen.__init__, subprocess.Popen.wait

    def traced(child, args, **options):
        seen.append(("start", args, sorted(options)))
        start(child, args, **options)

    def waited(child, timeout=None):
        seen.append(("wait", timeout))
        return wait(child, timeout)

    with mock.patch.object(subprocess.Popen, "__init__", traced):
        print(subprocess.run(["echo", "run"], capture_output=True), subprocess.check_output("echo shell", shell=True, text=True))
        print(subprocess.getstatusoutput("echo status; exit 3"), subprocess.call(["false"]))
    with mock.patch.object(subprocess.Popen, "wait", waited):
        print(subprocess.call(["false"], timeout=60))
    print(seen)
    seen.clear()
    print(subprocess.run(["true"]), seen)


@snippet
def replaced_popen():
    class Child(subprocess.Popen):
        def __init__(self, *args, **options):
            print("mine", args, sorted(options))
            super().__init__(*args, **options)

    with mock.patch.object(subprocess, "Popen", Child):
        print(subprocess.run(["echo", "run"], capture_output=True), subprocess.getoutput("echo shell"))
        try:
            subprocess.run(["sleep", "30"], timeout=0.1)
        except subprocess.TimeoutExpired as error:
            print(type(error).__name__, error.cmd)
        try:
            subprocess.run("exit 3", shell=True, check=True)
        except subprocess.CalledProcessError as error:
            print(error)
