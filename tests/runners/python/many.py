"""Pipelines and several children."""

from facts import HELPER, ending, failure, flag, path, procs, quiet, quoted, scenario, status, text


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
