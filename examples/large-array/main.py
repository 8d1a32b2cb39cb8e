"""A large array is handed to another process and back, without a copy: only a descriptor travels."""

import sys

import procs

COUNT = 1_000_000


def parent() -> None:
    memory = procs.SharedMemory(4 * COUNT)
    # numpy.frombuffer(memory, "u4") would be the same memory.
    numbers = memory.buf.cast("I")
    for at in range(COUNT):
        numbers[at] = at
    print(f"an array of {COUNT} numbers, {numbers.nbytes} bytes: the sum is {sum(numbers)}")

    child = procs.Popen([sys.executable, __file__, "double"], channel=True)
    channel = child.channel
    assert channel is not None
    channel.send_message(b"double", fds=[memory])
    print("handed over with a message of 6 bytes")
    print(f"the other process has doubled {channel.recv(20)} numbers where they are")
    print(f"the sum is {sum(numbers)}, in the same memory")
    channel.close()
    print(f"the child ended with exit code {child.wait()}")


def double() -> None:
    channel = procs.parent_channel()
    memory = procs.SharedMemory.from_fd(channel.recv_message(20).fds[0])
    numbers = memory.buf.cast("I")
    for at in range(len(numbers)):
        numbers[at] *= 2
    channel.send(len(numbers))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        double()
    else:
        parent()
