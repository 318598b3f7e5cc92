"""Becomes a container: run by the agent as a program of its own, with nothing but the standard library.

    python -I -S sandbox.py SPEC.json

Outside stays a process that hands SIGTERM on and ends as the container ends. Inside is a process with mount, process,
IPC and host name namespaces of its own and the pod's network: it sees this machine's files, read-only, with the pod's
volumes among them, and runs the command as process 1 or, where the pod shares its process namespace, below a process
that does nothing but reap.

Where a volume's place does not exist on this machine, the folder that shall hold it is replaced by an empty one into
which everything it held is bound; so no file of this machine changes, and no overlay is needed, which not every kernel
gives an ordinary user.
"""

# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH114, PTH115, PTH118, PTH123, PTH208, PTH211
# No pathlib: a container starts with every import of this program; `os` is there already.

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import types

_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_NEWNS, _NEWUTS, _NEWIPC, _NEWPID, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _ATTR_RDONLY = 442, -100, 0x8000, 0x1
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_CANNOT_START = 128
_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    _checked(
        _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()),
        f"mount {source} at {target}",
    )


def _bind(source: str, target: str) -> None:
    _mount(source, target, "", _MS_BIND | _MS_REC)


def _make_read_only(path: str) -> None:
    """The mount and all below it."""
    attributes = _MountAttributes(set=_ATTR_RDONLY)
    _checked(
        _libc.syscall(
            _SYS_MOUNT_SETATTR,
            _AT_FDCWD,
            path.encode(),
            _AT_RECURSIVE,
            ctypes.byref(attributes),
            ctypes.c_size_t(ctypes.sizeof(attributes)),
        ),
        f"make {path} read-only",
    )


class Root:
    """A file system put together at `at` from this machine's."""

    def __init__(self, at: str) -> None:
        self._at = at
        # Folders, as seen inside, that are ours to change.
        self._own: set[str] = set()
        self._imitate("/", leave_out=("proc", "tmp"))
        for name in ("proc", "tmp"):
            os.mkdir(f"{at}/{name}")

    def place(self, path: str, is_folder: bool) -> str:
        """Makes sure that a path exists inside; returns it as seen from outside, links resolved."""
        parts, here = [part for part in path.split("/") if part], "/"
        while parts:
            step = os.path.join(here, parts.pop(0))
            outside = self._at + step
            if os.path.islink(outside):
                target = os.path.normpath(os.path.join(here, os.readlink(outside)))
                parts, here = [part for part in target.split("/") if part] + parts, "/"
                continue
            if not os.path.exists(outside):
                if here not in self._own:
                    self._imitate(here)
                if parts or is_folder:
                    os.mkdir(outside)
                    self._own.add(step)
                else:
                    open(outside, "w").close()
            here = step
        return self._at + here

    def _imitate(self, folder: str, leave_out: tuple[str, ...] = ()) -> None:
        """Replaces a folder by one of ours that shows the same."""
        with os.scandir(folder) as scan:
            held = [entry for entry in scan if entry.name not in leave_out]
        inside = os.path.normpath(self._at + folder)
        _mount("tmpfs", inside, "tmpfs", 0, "mode=755")
        for entry in held:
            target = os.path.join(inside, entry.name)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), target)
                continue
            if entry.is_dir():
                os.mkdir(target)
            else:
                open(target, "w").close()
            _bind(entry.path, target)
        self._own.add(folder)


def _assemble(spec: dict) -> None:  # type: ignore[type-arg]
    root = spec["root"]
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    built = Root(root)
    mounts = sorted(spec["mounts"], key=lambda mount: mount["path"].count("/"))
    outer = [mount for mount in mounts if not _inside_another(mount, mounts)]
    places = {mount["path"]: built.place(mount["path"], os.path.isdir(mount["source"])) for mount in outer}
    os.makedirs(root + spec["shown"], exist_ok=True)
    _make_read_only(root)
    _mount("proc", f"{root}/proc", "proc")
    if not spec["read_only_root"]:
        _mount("tmpfs", f"{root}/tmp", "tmpfs", 0, "mode=1777")
    for mount in mounts:
        target = places.get(mount["path"]) or root + mount["path"]
        if mount["path"] not in places and not os.path.exists(target):
            os.makedirs(target)
        _bind(mount["source"], target)
    _show(spec["shown"], root)
    # Only now: a mount may have had to make its place in another.
    for mount in mounts:
        if mount["read_only"]:
            _make_read_only(places.get(mount["path"]) or root + mount["path"])
    os.chdir(root)
    _checked(_libc.syscall(_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")
    _checked(_libc.umount2(b".", _MNT_DETACH), "umount")
    os.chdir(spec["working_folder"])


def _show(folder: str, root: str) -> None:
    """Binds a folder of this machine where /tmp, which is the container's own, or a volume hides it."""
    os.makedirs(root + folder, exist_ok=True)
    if not os.listdir(root + folder):
        _bind(folder, root + folder)
        _make_read_only(root + folder)


def _inside_another(mount: dict, mounts: list[dict]) -> bool:  # type: ignore[type-arg]
    return any(mount["path"].startswith(other["path"].rstrip("/") + "/") for other in mounts)


def _renounce_privileges() -> None:
    """Process 0 of a real container would have few capabilities; here it has none."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    for capability in range(last + 1):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _die_with_parent() -> None:
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def _execute(spec: dict) -> None:  # type: ignore[type-arg]
    """Does not return, but for an error."""
    # What Python ignores its programs should not.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    command, environment = spec["command"], spec["environment"]
    try:
        os.execvpe(command[0], command, environment)
    except FileNotFoundError:
        raise FileNotFoundError(f'exec: "{command[0]}": executable file not found in $PATH') from None


def _contain(spec: dict, errors: int) -> None:  # type: ignore[type-arg]
    """The first process inside."""
    try:
        _die_with_parent()
        socket.sethostname(spec["host_name"])
        _assemble(spec)
        _renounce_privileges()
        if spec["has_reaper"]:
            child = os.fork()
            if child:
                os.close(errors)
                os._exit(_tend(child))
        _execute(spec)
    except BaseException as error:
        os.write(errors, str(error).encode())
        os._exit(_CANNOT_START)


def _tend(child: int) -> int:
    """Hands SIGTERM on and waits; returns the exit code, reaping whoever else ends before."""

    def hand_on(number: int, frame: types.FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    signal.signal(signal.SIGTERM, hand_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return 128 - code if code < 0 else code


def main() -> int:
    """Ends as the container does, 128 and the signal's number where one ended it."""
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    # A SIGTERM that comes before there is somebody to hand it to waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
    _die_with_parent()
    if os.getppid() != spec["parent"]:
        return _CANNOT_START
    errors = spec["errors"]
    os.set_inheritable(errors, False)
    if spec["network"] is not None:
        _checked(_libc.setns(spec["network"], _NEWNET), "setns")
        os.close(spec["network"])
    _checked(_libc.unshare(_NEWNS | _NEWPID | _NEWIPC | _NEWUTS), "unshare")
    child = os.fork()
    if child == 0:
        _contain(spec, errors)
    os.close(errors)
    return _tend(child)


if __name__ == "__main__":
    sys.exit(main())
