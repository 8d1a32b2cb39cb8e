"""Programs on libraries that are built on `subprocess`; each prints what it saw. `libraries.py [--procs] NAME`: with `--procs` the
libraries find `procs` where they look for `subprocess`."""

import sys

if "--procs" in sys.argv:
    sys.argv.remove("--procs")
    import procs
    sys.modules["subprocess"] = procs

import os
import signal
import subprocess
import tempfile
from pathlib import Path

CASES = {}


def case(function):
    """Registers a program by its name."""
    CASES[function.__name__] = function
    return function


@case
def plumbum():
    """Commands, pipelines, redirections, background, timeouts, environment."""
    from plumbum import BG, FG, RETCODE, TEE, TF, ProcessExecutionError, ProcessTimedOut, local
    echo, cat, sort, sh, sleep = (local[name] for name in ("echo", "cat", "sort", "sh", "sleep"))
    print(repr(echo("hello")), repr((sh["-c", "printf 'b\\na\\n'"] | sort)()), (cat << "fed")())
    print(sh["-c", "echo out; echo err >&2; exit 3"].run(retcode=3), sh["-c", "exit 4"] & RETCODE, sh["-c", "exit 1"] & TF)
    try:
        sh("-c", "echo why >&2; exit 5")
    except ProcessExecutionError as error:
        print(error.retcode, error.stderr, error.argv[-1])
    try:
        sleep("30", timeout=0.2)
    except ProcessTimedOut as error:
        print(type(error).__name__)
    future = sh["-c", "sleep 0.1; echo later"] & BG
    future.wait()
    print(future.stdout, future.returncode)
    with tempfile.TemporaryDirectory() as folder:
        (echo["to a file"] > f"{folder}/file")()
        (echo["more"] >> f"{folder}/file")()
        print((cat < f"{folder}/file")())
        with local.cwd(folder), local.env(NEW="new"):
            print(sh("-c", "ls; echo $NEW"))
    print(sh["-c", "echo seen"] & TEE, sh["-c", "exit 0"] & FG)
    child = cat.popen(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print(child.communicate(b"popen"), child.returncode)
    session = sh.popen("-c 'for i in 1 2 3; do echo $i; done'".split()[:1] + ["for i in 1 2 3; do echo $i; done"])
    print(list(session.iter_lines()))


@case
def invoke():
    """Runs with threads that read both streams, watchers that answer, failures and timeouts."""
    from invoke import Context, Responder
    from invoke.exceptions import CommandTimedOut, UnexpectedExit
    context = Context()
    done = context.run("echo out; echo err >&2", hide=True)
    print(repr(done.stdout), repr(done.stderr), done.exited, done.ok)
    done = context.run("exit 6", warn=True, hide=True)
    print(done.exited, done.failed)
    try:
        context.run("echo why >&2; exit 2", hide=True)
    except UnexpectedExit as error:
        print(error.result.exited, repr(error.result.stderr))
    try:
        context.run("sleep 30", hide=True, timeout=1)
    except CommandTimedOut as error:
        print(type(error).__name__, error.timeout)
    answer = Responder(pattern="name\\?", response="procs\n")
    print(context.run("printf 'name?'; read name; echo hello $name", hide=True, in_stream=False, watchers=[answer]).stdout)
    with context.cd("/"), context.prefix("echo first"):
        print(context.run("pwd", hide=True, env={"A": "b"}).stdout)
    promise = context.run("echo async", asynchronous=True, hide=True)
    print(promise.join().stdout, context.run("head -c 3000000 /dev/zero | tr '\\0' x", hide=True).stdout.count("x"))


@case
def gitpython():
    """A repository made, filled, read and cloned; errors and streamed objects."""
    from git import GitCommandError, Repo
    with tempfile.TemporaryDirectory() as folder:
        repo = Repo.init(f"{folder}/one", initial_branch="main")
        with repo.config_writer() as config:
            config.set_value("user", "name", "N")
            config.set_value("user", "email", "n@example.org")
        for number in range(3):
            Path(folder, "one", f"file{number}").write_text(f"content {number}\n" * 1000)
            repo.index.add([f"file{number}"])
            repo.index.commit(f"commit {number}")
        print([commit.message for commit in repo.iter_commits()], repo.is_dirty(), repo.active_branch)
        print(len(repo.head.commit.tree["file1"].data_stream.read()), repo.git.log("--format=%s"), repo.untracked_files)
        Path(folder, "one", "file0").write_text("changed\n")
        print(repo.git.diff("--stat").strip().splitlines()[-1], repo.git.status(porcelain=True))
        try:
            repo.git.checkout("no such branch")
        except GitCommandError as error:
            print(error.status, error.stderr.strip())
        clone = repo.clone(f"{folder}/two")
        print(clone.remotes.origin.fetch()[0].name, clone.git.rev_parse("HEAD") == repo.git.rev_parse("HEAD"))
        print([line for _, lines in clone.blame("HEAD", "file2") for line in lines][:2], repo.git.version_info[:1] >= (2,))
        child = repo.git.log("--format=%s", as_process=True)
        print(child.stdout.read(), child.wait())


@case
def pexpect_popen():
    """`popen_spawn`: talk with a child by patterns."""
    from pexpect import EOF, TIMEOUT
    from pexpect.popen_spawn import PopenSpawn
    talker = "print('ready', flush=True)\nfor line in iter(input, 'end'): print('got', line, flush=True)\nraise SystemExit(3)"
    child = PopenSpawn([sys.executable, "-c", talker], encoding="utf-8", timeout=20)
    print(child.expect("ready"), repr(child.after))
    child.sendline("answer")
    print(child.expect(["nothing", "got (\\w+)"]), child.match.group(1))
    try:
        child.expect("never", timeout=0.2)
    except TIMEOUT:
        print("timeout")
    child.sendline("end")
    child.expect(EOF)
    print(child.wait(), child.exitstatus, child.signalstatus)
    child = PopenSpawn(["sleep", "30"])
    child.kill(signal.SIGTERM)
    print(child.wait(), child.signalstatus)


@case
def cffi_compile():
    """setuptools' compiler, driven by cffi: a module compiled, linked and called."""
    import cffi
    with tempfile.TemporaryDirectory() as folder:
        builder = cffi.FFI()
        builder.cdef("int twice(int);")
        builder.set_source("_twice", "static int twice(int x) { return 2 * x; }")
        made = builder.compile(tmpdir=folder)
        sys.path.insert(0, folder)
        import _twice
        print(Path(made).name.split(".")[0], _twice.lib.twice(21))
        broken = cffi.FFI()
        broken.cdef("int f(void);")
        broken.set_source("_broken", "#error no")
        try:
            broken.compile(tmpdir=folder)
        except cffi.VerificationError as error:
            print(type(error).__name__, str(error).split(":")[0])


@case
def nox():
    """Sessions that run commands, with output kept, failures and an environment of their own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "noxfile.py").write_text(
            "import nox\n"
            "@nox.session(venv_backend='none')\ndef good(session):\n"
            "    print(repr(session.run('sh', '-c', 'echo $A', env={'A': 'b'}, silent=True)))\n"
            "    session.run('sh', '-c', 'exit 3', success_codes=[3])\n"
            "@nox.session(venv_backend='none')\ndef bad(session):\n    session.run('sh', '-c', 'echo why; exit 4')\n")
        from nox.__main__ import main
        for session in ("good", "bad"):
            sys.argv = ["nox", "-f", f"{folder}/noxfile.py", "-s", session]
            try:
                main()
            except SystemExit as end:
                print(session, end.code)


@case
def pytester():
    """pytest's own tool for tests of plugins, which runs pytest in children."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_it.py").write_text(
            "pytest_plugins = 'pytester'\n"
            "def test_child(pytester):\n"
            "    pytester.makepyfile('def test_good(): print(1)\\ndef test_bad(): assert 0')\n"
            "    result = pytester.runpytest_subprocess('-p', 'no:cacheprovider')\n"
            "    result.assert_outcomes(passed=1, failed=1)\n"
            "    assert pytester.run('sh', '-c', 'echo out; echo err >&2; exit 5').ret == 5\n"
            "    import pytest\n"
            "    with pytest.raises(pytester.TimeoutExpired):\n"
            "        pytester.run('sleep', '30', timeout=0.3)\n"
            "    child = pytester.popen(['cat'], stdin=pytester.CLOSE_STDIN)\n"
            "    assert child.wait() == 0\n")
        import pytest
        print(int(pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", "--tb=short", f"--basetemp={folder}/base", folder])))


@case
def pytest_subprocess():
    """Tests whose children are faked wherever `Popen` is used."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_it.py").write_text(
            "import subprocess, pytest\n"
            "def test_fakes(fp):\n"
            "    fp.register(['no such', fp.any()], stdout='faked', returncode=2, occurrences=4)\n"
            "    assert subprocess.run(['no such', 'run'], capture_output=True, text=True).stdout == 'faked'\n"
            "    assert subprocess.call(['no such', 'call']) == 2\n"
            "    with pytest.raises(subprocess.CalledProcessError):\n"
            "        subprocess.check_output(['no such', 'output'])\n"
            "    assert subprocess.Popen(['no such', 'child'], stdout=subprocess.PIPE).communicate() == (b'faked', None)\n"
            "    assert fp.call_count(['no such', fp.any()]) == 4\n"
            "    fp.pass_command(['echo', 'real'])\n"
            "    assert subprocess.check_output(['echo', 'real']) == b'real\\n'\n"
            "def test_none_is_left():\n"
            "    assert subprocess.check_output(['echo', 'real']) == b'real\\n'\n")
        import pytest
        print(int(pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", "--tb=short", f"--basetemp={folder}/base", folder])))


@case
def delegator():
    """Commands that block or not, chained and talked to."""
    import delegator
    done = delegator.run("sh -c 'echo out; exit 3'")
    print(repr(done.out), done.return_code, done.ok)
    print(repr(delegator.chain("printf 'b\\na\\n' | sort").out))
    child = delegator.run("sleep 30", block=False)
    child.kill()
    print(done.pid > 0)


def main():
    """Runs one program, or lists all."""
    if sys.argv[1:] == ["--list"]:
        print("\n".join(CASES))
        return
    os.environ["TERM"] = "dumb"
    CASES[sys.argv[1]]()
    assert ("procs" in sys.modules) == (subprocess.__name__ == "procs")


if __name__ == "__main__":
    main()
