"""Output line by line."""

from facts import PEER, flag, long, piped, scenario, status, text


def lines_of(child):
    """The lines without their ends, by the language's idiom."""
    return [line.removesuffix(b"\n") for line in child.stdout] if PEER else list(child.lines())


@scenario("stream-lines")
def stream_lines():
    with piped("lines", "1000") as child:
        lines = lines_of(child)
    flag("lines", len(lines))
    text("line index=0", lines[0])
    text("line index=999", lines[999])
    status(child.returncode)


@scenario("stream-long-line", asyncio=False)
def stream_long_line():
    with piped("line", "5000000") as child:
        lines = lines_of(child)
    flag("lines", len(lines))
    long("line index=0", lines[0])
    text("line index=1", lines[1])
    status(child.returncode)


@scenario("stream-no-final-newline")
def stream_no_final_newline():
    with piped("print", "a\\n\\nb") as child:
        lines = lines_of(child)
    flag("lines", len(lines))
    for index, line in enumerate(lines):
        text(f"line index={index}", line)
    status(child.returncode)
