"""Fetches and builds llama.cpp in a folder outside of the project. What is there already stays."""
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .programs import Failure, tail

# The source archive of this Python package holds llama.cpp; package indexes are mirrored where GitHub is not
# reachable.
PACKAGE = "llama-cpp-python"
VERSION = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
ARCHIVE = f"llama_cpp_python-{VERSION}.tar.gz"
SOURCES = Path(f"llama_cpp_python-{VERSION}") / "vendor" / "llama.cpp"

COMPILERS = {"g++": ("gcc", "g++"), "clang-19": ("clang-19", "clang++-19")}
TARGETS = ("llama-bench", "llama-batched-bench")
# OpenMP stays on, as llama.cpp has it by default: g++ brings its library, libomp-19-dev that of clang-19. The
# rest is not needed for the two programs.
COMMON_FLAGS = ("-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
                "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_UI=OFF")
FLAGS = (*COMMON_FLAGS, "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_BUILD_MTMD=OFF")
SERVER_FLAGS = (*COMMON_FLAGS, "-DLLAMA_BUILD_SERVER=ON", "-DLLAMA_CURL=OFF")


def check_sum(path, expected=SHA256):
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    if digest.hexdigest() != expected:
        raise Failure(f"{path}: SHA-256 is {digest.hexdigest()}, expected {expected}. If the download was cut "
                      "off, remove the file and try again; otherwise somebody changed the archive.")


def logged(command, log, what):
    """Runs a long command; its output goes to a file, whose end is shown if it fails."""
    with open(log, "w", encoding="utf-8") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        text = Path(log).read_text(encoding="utf-8", errors="replace")
        raise Failure(f"{what} (whole output: {log})\n{tail(text, 20)}")


def fetch(cache):
    """The archive, downloaded by pip, which knows of mirrors and proxies."""
    archive = cache / ARCHIVE
    if not archive.exists():
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
            raise Failure(f"{sys.executable} has no pip, which downloads llama.cpp; on Debian: apt-get install "
                          "python3-pip")
        print(f"downloading {PACKAGE} {VERSION} (77 MB)", flush=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            # pip runs the package's own code to learn its name and version; with a hash it looks at that first.
            wanted = Path(folder) / "requirements.txt"
            wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
            logged([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", PACKAGE, "--dest", folder,
                    "--requirement", wanted], cache / "download.log",
                   f"pip could not download {PACKAGE} {VERSION}: no network, or a changed archive")
            got = Path(folder) / ARCHIVE
            if not got.exists():
                raise Failure(f"pip downloaded {[f.name for f in Path(folder).iterdir()]}, expected {ARCHIVE}")
            os.rename(got, archive)
    check_sum(archive)
    return archive


def unpack(cache):
    """The source folder of llama.cpp."""
    sources = cache / SOURCES
    if sources.exists():
        return sources
    archive = fetch(cache)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        except (tarfile.TarError, OSError) as error:
            raise Failure(f"{archive} cannot be unpacked: {error}") from error
        # Renamed when it is whole, so that what a Ctrl-C left behind is not taken for it.
        os.rename(Path(folder) / SOURCES.parts[0], cache / SOURCES.parts[0])
    return sources


def build(cache, compiler, jobs, name=None, targets=TARGETS, flags=FLAGS):
    """The folder with the programs of one compiler."""
    sources = unpack(cache)
    folder = cache / (name or f"build-{compiler}")
    c, cxx = COMPILERS[compiler]
    if shutil.which(cxx) is None:
        raise Failure(f"{cxx} is not installed; tools/install-deps --peers does it")
    if not all((folder / "bin" / target).exists() for target in targets):
        print(f"building llama.cpp with {compiler}: minutes; {folder}.log tells how far it is", flush=True)
    logged(["cmake", "-G", "Ninja", "-S", sources, "-B", folder, f"-DCMAKE_C_COMPILER={c}",
            f"-DCMAKE_CXX_COMPILER={cxx}", *flags], f"{folder}.log", f"llama.cpp cannot be configured with {compiler}")
    logged(["cmake", "--build", folder, "-j", str(jobs), "--target", *targets], f"{folder}.log",
           f"llama.cpp cannot be built with {compiler}")
    return folder / "bin"


def server(cache, jobs):
    """The folder with llama-server, built by clang."""
    cache.mkdir(parents=True, exist_ok=True)
    return build(cache, "clang-19", jobs, "build-server", ("llama-server",), SERVER_FLAGS)


def builds(cache, jobs):
    """{compiler: folder} of those that can be built; at least one."""
    cache.mkdir(parents=True, exist_ok=True)
    unpack(cache)
    out = {}
    for compiler in COMPILERS:
        try:
            out[compiler] = build(cache, compiler, jobs)
        except Failure as failure:
            print(f"without {compiler}: {failure}", file=sys.stderr, flush=True)
    if not out:
        raise Failure("llama.cpp was built by no compiler")
    return out
