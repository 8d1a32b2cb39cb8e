import procs

SCRIPT = 'echo "$1"; exit "$2"'


def job(word: str, code: int = 0) -> list[str]:
    return ["sh", "-c", SCRIPT, "sh", word, str(code)]


finished = 0


def count(index: int, result: procs.CompletedProcess[str] | BaseException) -> None:
    global finished
    finished += 1


print("6 commands, 2 at a time:")
commands = [job("one"), job("two"), job("three", 3), job("four"), ["no-such-program"], job("six")]
for number, done in enumerate(procs.run_many(commands, jobs=2, progress=count, text=True, timeout=10), 1):
    if isinstance(done, procs.CompletedProcess):
        print(f"  job {number}: exit code {done.returncode}, output: {done.stdout.rstrip()}")
    elif isinstance(done, procs.ProcsError):
        print(f"  job {number}: {done.kind}")
print("  finished:", finished)

print("3 children, in the order in which they end:")
children = [procs.Popen(["cat"], stdin=procs.PIPE, stdout=procs.DEVNULL) for _ in range(3)]
for number in (3, 1, 2):
    chosen = children[number - 1]
    assert chosen.stdin is not None
    chosen.stdin.close()
    ended = procs.wait_any([child for child in children if child.returncode is None])
    assert ended is chosen
    print(f"  child {number}: exit code {ended.wait()}")
