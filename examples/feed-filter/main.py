import procs

print("text through a filter:")
done = procs.run(["tr", "a-z", "A-Z"], input="hello from libprocs\n", capture_output=True, text=True, timeout=10)
print(" ", done.stdout.rstrip())

print("4000000 bytes through cat:")
data = bytes(range(250)) * 16000
back = procs.run(["cat"], input=data, capture_output=True, timeout=10).stdout
print(f"  came back: {len(back)} bytes, equal: {str(back == data).lower()}")

print("a filter that stops reading early:")
numbers = "".join(f"{number}\n" for number in range(1, 100001))
done = procs.run(["head", "-n", "1"], input=numbers, capture_output=True, text=True, timeout=10)
print("  first line:", done.stdout.rstrip())
print("  ended: exit code", done.returncode)

print("a conversation:")
script = 'while read -r word; do echo "got $word"; done'
with procs.Popen(["sh", "-c", script], stdin=procs.PIPE, stdout=procs.PIPE, text=True, bufsize=1) as child:
    assert child.stdin is not None and child.stdout is not None
    for word in ("one", "two", "three"):
        child.stdin.write(f"{word}\n")
        print(f"  {word} -> {child.stdout.readline().rstrip()}")
print("  ended: exit code", child.returncode)
