import procs

try:
    procs.run(["no-such-sort"])
except procs.ProcsError as error:
    print(error.kind)
done = procs.run(["sort"], input=b"pear\nfig\napple\n", capture_output=True, timeout=5, kill_tree=True)
print(done.stdout.decode(), end="")
print("exit code", done.returncode)
