"""Sets up programs and peers in a folder of their own below `target/bench`, which git ignores."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent.parent
WORK = ROOT / "target" / "bench"
CFLAGS = ["-O2", "-Wall", "-Wextra", "-pthread"]


@dataclass
class Toolbox:
    """Where the programs are; what is missing is absent from `programs` and named with the reason in `absent`."""

    programs: dict = field(default_factory=dict)
    absent: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)

    def add(self, name, make):
        """Keeps what `make` returns under a name, or the reason why it failed."""
        try:
            self.programs[name] = make()
        except (OSError, subprocess.CalledProcessError) as error:
            detail = (getattr(error, "stderr", None) or str(error)).strip().split("\n")
            self.absent[name] = next((line for line in detail if "error" in line), detail[-1])[:200]


def call(*command, **more):
    """Runs a command quietly and returns its stdout; raises with its stderr."""
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, **more).stdout.strip()


def compile_c(source, name, *flags):
    """Compiles one C program into the work folder."""
    target = WORK / "bin" / name
    call(os.environ.get("CC", "cc"), *CFLAGS, "-o", target, BENCH / source, *flags)
    return str(target)


def cargo(*arguments, folder=ROOT):
    """Runs cargo, building below the usual target folder."""
    call("cargo", *arguments, cwd=folder, env={**os.environ, "CARGO_TARGET_DIR": str(target_folder())})


def target_folder():
    """CARGO_TARGET_DIR or `target`."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def build_rust(name):
    """Builds one program of tests/bench/rust."""
    cargo("build", "--release", "--bin", name, folder=BENCH / "rust")
    return str(target_folder() / "release" / name)


def build_message_peers():
    """The message peers of Rust, a workspace of their own: crates that cannot be had leave the rest alone."""
    cargo("build", "--release", folder=BENCH / "rust-ipc")
    return str(target_folder() / "release" / "ipc-peers")


def build_ours_c(name):
    """Builds the C ABI and a program on it, linked statically so that loading it costs what the limit's loading costs."""
    cargo("build", "--profile", "shipped", "-p", "procs-ffi")
    library = target_folder() / "shipped" / "libprocs.a"
    return compile_c(f"c/{name}.c", f"ours-{name}", "-I", ROOT / "include", library, "-lm", "-ldl")


def build_libuv():
    """The libuv peer against the system's libuv, or against Debian's package unpacked into the work folder."""
    if Path("/usr/include/uv.h").exists():
        return compile_c("c/libuv.c", "libuv", "-luv")
    folder = WORK / "libuv"
    if not folder.exists():
        if shutil.which("apt-get") is None:
            raise OSError("uv.h is missing (package libuv1-dev)")
        download = WORK / "debs"
        download.mkdir(exist_ok=True)
        call("apt-get", "download", "libuv1-dev", "libuv1", cwd=download)
        for package in download.glob("libuv1*.deb"):
            call("dpkg", "-x", package, folder)
    library = next(folder.glob("usr/lib/*/libuv_a.a"))
    return compile_c("c/libuv.c", "libuv", "-I", folder / "usr/include", library, "-ldl", "-lrt")


def build_node_limit():
    """The native module that only starts children, against the headers that were installed with Node."""
    headers = Path(find_node()).resolve().parent.parent / "include" / "node"
    if not (headers / "node_api.h").exists():
        raise OSError(f"node_api.h is missing in {headers}")
    return compile_c("limits/node_spawn.c", "limit-spawn.node", "-shared", "-fPIC", "-I", headers)


def build_venv():
    """A virtual environment with uvloop if it can be had; returns its Python."""
    python = WORK / "venv" / "bin" / "python"
    if not python.exists():
        call(sys.executable, "-m", "venv", WORK / "venv")
    return str(python)


def install(python, package, module):
    """Returns the version of a package in the virtual environment."""
    probe = f"import {module}; print({module}.__version__)"
    if subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode != 0:
        call(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package)
    return call(python, "-c", probe)


def find_node():
    """Node from PATH."""
    node = shutil.which("node")
    if node is None:
        raise OSError("node is not in PATH")
    return node


def prepare(tell):
    """Builds everything that can be built and says what is absent."""
    (WORK / "bin").mkdir(parents=True, exist_ok=True)
    box = Toolbox()
    box.add("true", lambda: compile_c("limits/true.c", "true", "-nostdlib", "-static", "-s"))
    box.add("producer", lambda: compile_c("limits/producer.c", "producer", "-static"))
    for name in ("spawn", "capture"):
        box.add(f"limit-{name}", lambda name=name: compile_c(f"limits/{name}.c", f"limit-{name}"))
        box.add(f"ours-c-{name}", lambda name=name: build_ours_c(name))
    box.add("ours-c-ipc", lambda: build_ours_c("ipc"))
    box.add("limit-ipc", lambda: compile_c("limits/ipc.c", "limit-ipc"))
    box.add("ipc-peers", build_message_peers)
    for name in ("rust-peers", "rust-ours", "rust-channel"):
        box.add(name, lambda name=name: build_rust(name))
    box.add("libuv", build_libuv)
    box.add("python", build_venv)
    box.add("node", find_node)
    box.add("limit-node", build_node_limit)
    if "python" in box.programs:
        box.add("uvloop", lambda: install(box.programs["python"], "uvloop", "uvloop"))
        box.add("pyzmq", lambda: install(box.programs["python"], "pyzmq", "zmq"))
    box.versions = versions(box)
    for name, reason in box.absent.items():
        tell(f"absent: {name}: {reason}")
    return box


def versions(box):
    """What was compared, for the report."""
    found = {"rustc": call("rustc", "--version").split()[1], "cc": call(os.environ.get("CC", "cc"), "-dumpfullversion")}
    if "python" in box.programs:
        found["CPython"] = call(box.programs["python"], "--version").split()[1]
    for package in ("uvloop", "pyzmq"):
        if package in box.programs:
            found[package] = box.programs[package]
    lock = (BENCH / "rust-ipc" / "Cargo.lock").read_text() if "ipc-peers" in box.programs else ""
    for crate in ("ipc-channel", "iceoryx2"):
        if f'name = "{crate}"\nversion = "' in lock:
            found[crate] = lock.split(f'name = "{crate}"\nversion = "', 1)[1].split('"', 1)[0]
    if "node" in box.programs:
        found["Node"] = call(box.programs["node"], "--version").lstrip("v")
    if "libuv" in box.programs:
        found["libuv"] = call(box.programs["libuv"], "version")
    return found
