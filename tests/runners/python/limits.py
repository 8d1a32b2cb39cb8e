"""Deadlines and limits of output."""

import os

from facts import PEER, flag, long, path, procs, run, scenario, status, text


def timed(*args, **options):
    try:
        run(*args, timeout=int(os.environ["SCENARIO_TIMEOUT_MS"]) / 1000, **options)
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
