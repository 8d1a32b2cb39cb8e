"""`procs.aio`: starts of programs that were executed before, which are not waited for, and what is told when they fail after all."""

import asyncio
import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from conftest import wait_until
from procs import PIPE, aio

# The core remembers no file that was changed just now.
SETTLED = 0.2


def known_script(text="exit 3"):
    """A script with an interpreter of its own, executed once in an event loop."""
    shutil.copy(os.path.realpath("/bin/sh"), "interpreter")
    script = Path("script")
    script.write_text(f"#!{os.path.abspath('interpreter')}\n{text}\n", encoding="ascii")
    script.chmod(0o755)
    wait_until(lambda: time.time() - script.stat().st_ctime > SETTLED, "the file is old enough")
    return str(script.absolute())


async def start_and_wait(path, **options):
    process = await aio.create_subprocess_exec(path, **options)
    return await process.wait()


def test_a_known_program_that_fails_is_told_by_the_wait():
    path = known_script()

    async def main():
        assert [await start_and_wait(path) for _ in range(3)] == [3, 3, 3]
        os.unlink("interpreter")
        process = await aio.create_subprocess_exec(path)
        for _ in range(2):
            with pytest.raises(FileNotFoundError) as caught:
                await process.wait()
            assert (caught.value.errno, caught.value.filename, caught.value.stage) == (errno.ENOENT, path, "exec")
        assert process.returncode == 127
        with pytest.raises(ProcessLookupError):
            process.kill()
        with pytest.raises(FileNotFoundError) as caught:
            await aio.create_subprocess_exec(path)
        assert caught.value.filename == path, "it is not known any more"

    asyncio.run(main(), debug=True)


def test_pipes_of_one_that_fails_end():
    path = known_script("exec cat")

    async def main():
        for _ in range(2):
            process = await aio.create_subprocess_exec(path, stdin=PIPE, stdout=PIPE, stderr=PIPE)
            assert await process.communicate(b"text") == (b"text", b"")
        os.unlink("interpreter")
        process = await aio.create_subprocess_exec(path, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        with pytest.raises(FileNotFoundError):
            await process.communicate(b"text")
        assert process.returncode == 127

    asyncio.run(main(), debug=True)


def test_the_return_code_alone_tells_of_the_end():
    path = known_script()

    async def main():
        assert await start_and_wait(path) == 3
        os.unlink("interpreter")
        process = await aio.create_subprocess_exec(path, env={"A": "b"})
        while process.returncode is None:
            await asyncio.sleep(0.001)
        assert process.returncode == 127
        with pytest.raises(FileNotFoundError) as caught:
            await process.wait()
        assert caught.value.filename == path

    asyncio.run(main(), debug=True)


def test_other_errors_are_told_at_once():
    path = known_script()

    async def main():
        assert [await start_and_wait(path) for _ in range(2)] == [3, 3]
        with pytest.raises(FileNotFoundError) as caught:
            await aio.create_subprocess_exec(path, cwd="nowhere")
        assert caught.value.filename == "nowhere"
        os.chmod(path, 0o644)
        with pytest.raises(PermissionError):
            await aio.create_subprocess_exec(path)
        os.unlink(path)
        with pytest.raises(FileNotFoundError):
            await aio.create_subprocess_exec(path)

    asyncio.run(main(), debug=True)


def test_a_replaced_program_is_looked_at_anew():
    path = known_script()

    async def main():
        assert [await start_and_wait(path) for _ in range(2)] == [3, 3]
        Path("next").write_text("#!/nowhere\n", encoding="ascii")
        os.chmod("next", 0o755)
        os.replace("next", path)
        with pytest.raises(FileNotFoundError):
            await aio.create_subprocess_exec(path)

    asyncio.run(main(), debug=True)


def test_many_at_once():
    async def one(number):
        process = await aio.create_subprocess_shell(f"read word; echo $word {number}", stdin=PIPE, stdout=PIPE)
        out, _ = await process.communicate(b"word\n")
        assert (out, process.returncode) == (b"word %d\n" % number, 0)

    async def main():
        await asyncio.gather(*map(one, range(150)))

    asyncio.run(main())


def test_a_signal_right_after_the_start_ends_it():
    async def main():
        for _ in range(50):
            process = await aio.create_subprocess_exec("sleep", "60")
            process.terminate()
            assert await process.wait() == -15

    asyncio.run(main())
