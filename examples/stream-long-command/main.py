import signal

import procs


def ending(returncode: int) -> str:
    return f"exit code {returncode}" if returncode >= 0 else f"signal {-returncode} ({signal.Signals(-returncode).name})"


print("a command that takes its time, line by line:")
steps = 'for i in 1 2 3 4; do echo "step $i of 4"; sleep 0.1; done'
with procs.Popen(["sh", "-c", steps], stdout=procs.PIPE, text=True) as child:
    for number, line in enumerate(child.lines(), 1):
        print(f"  {number}: {line}")
print("  ended:", ending(child.wait()))

print("a fast one, counted:")
with procs.Popen(["seq", "1", "200000"], stdout=procs.PIPE) as counter:
    lines = total = 0
    for counted in counter.lines(keep_ends=True):
        lines += 1
        total += len(counted)
print(f"  {lines} lines, {total} bytes, ended: {ending(counter.wait())}")

print("an endless one, left after 3 lines:")
with procs.Popen(["sh", "-c", "while :; do echo tick; done"], stdout=procs.PIPE, text=True) as child:
    for number, line in enumerate(child.lines(), 1):
        print(f"  {number}: {line}")
        if number == 3:
            break
    child.stop()
print("  stopped:", ending(child.wait()))
