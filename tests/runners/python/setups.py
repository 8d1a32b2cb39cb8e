"""What a child starts with, and starts that fail."""

import os

from facts import DIR, HELPER, failure, path, procs, run, scenario, status, text


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
