import signal

import procs

print("how programs end:")
for script in ("exit 3", "kill -TERM $$"):
    code = procs.run(["sh", "-c", script]).returncode
    print(" ", f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.Signals(-code).name})")

print("why programs do not start:")
for what, program, folder in (
    ("missing program", "no-such-program", None),
    ("missing directory", "true", "/no/such/directory"),
    ("a directory as program", "/", None),
):
    try:
        procs.run([program], cwd=folder)
    except procs.ProcsError as error:
        print(f"  {what}: {error.kind} at {error.stage}")

print("a checked run:")
try:
    procs.run(["sh", "-c", "echo cannot do that >&2; exit 2"], capture_output=True, check=True, timeout=10)
except procs.CalledProcessError as error:
    print(f"  {error.kind}: exit code {error.returncode}, stderr: {error.stderr.decode().rstrip()}")

print("588895 bytes of output, limited:")
numbers = ["seq", "1", "100000"]
try:
    procs.run(numbers, capture_output=True, max_output=("error", 1000), timeout=10)
except procs.TooLargeError as error:
    print(f"  error: {error.kind}, {len(error.output or b'')} bytes kept")
for policy, size in (("head", 8), ("tail", 13)):
    done = procs.run(numbers, capture_output=True, max_output=(policy, size), timeout=10)
    assert done.stdout_report is not None
    print(f"  {policy}: {done.stdout_report.total_bytes} bytes in all, kept:", " ".join(done.stdout.decode().split()))
done = procs.run(numbers, capture_output=True, max_output=("spill", 16), timeout=10)
assert done.stdout_report is not None and done.stdout_report.spill is not None
with done.stdout_report.spill as spill:
    print(f"  spill: {done.stdout_report.total_bytes} bytes in all, in the file: {len(spill.read())}")

print("limits of the child:")
done = procs.run(["sh", "-c", "ulimit -n"], capture_output=True, limits={"nofile": 64}, timeout=10)
print("  open files:", done.stdout.decode().rstrip())
