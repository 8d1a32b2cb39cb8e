import procs


def show(result: procs.PipelineResult[str]) -> None:
    print("  output:", " ".join(result.stdout.split()))
    for number, stage in enumerate(result.stages, 1):
        said = f", stderr: {stage.stderr.rstrip()}" if stage.stderr else ""
        print(f"  stage {number}: exit code {stage.returncode}{said}")
    print(f"  success: {str(result.returncode == 0).lower()}")


print("a shell command line:")
done = procs.run("seq 1 5 | sort -r | tr '\\n' ' '", shell=True, capture_output=True, text=True, timeout=10)
print("  output:", done.stdout.rstrip())
print("  ended: exit code", done.returncode)

print("the same three programs without a shell:")
fruit = "pear\napple\nfig\napple\n"
show(procs.Pipeline(["sort"], ["uniq"], ["tr", "a-z", "A-Z"]).run(input=fruit, text=True, timeout=10))

print("a pipeline whose second stage fails:")
failing = ["sh", "-c", "cat; echo second stage gave up >&2; exit 3"]
show(procs.Pipeline(["cat"], failing, ["tr", "a-z", "A-Z"]).run(input="partial\n", text=True, timeout=10))
