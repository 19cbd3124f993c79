"""A disk of a few megabytes, to be filled."""

import os
import subprocess
from pathlib import Path


class CannotMount(Exception):
    """No small disk can be had here; says why."""


class SmallDisk:
    """A file system of its own at `path`; a context that takes it away."""

    def __init__(self, kind: str, folder: Path, megabytes: int) -> None:
        self.path = folder / kind
        self.path.mkdir()
        self._holder: subprocess.Popen[str] | None = None
        self._ballast: Path
        if kind == "ext4":
            image = folder / "image"
            with image.open("wb") as file:
                file.truncate(megabytes << 20)
            self._run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
            self._run("mount", "-o", "loop", str(image), str(self.path))
        elif os.geteuid() == 0:
            self._run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(self.path))
        else:
            self._mount_in_a_namespace(megabytes)
        self._ballast = self.path / "ballast"

    def _run(self, *command: str) -> None:
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            words = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
            raise CannotMount(f"{' '.join(command)}: {str(words).strip()}") from error

    def _mount_in_a_namespace(self, megabytes: int) -> None:
        # Root of its own names only; its files are reached through /proc as long as this process lives.
        script = f"mount -t tmpfs -o size={megabytes}m tmpfs '{self.path}' && echo mounted && read _"
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
        pipe = subprocess.PIPE
        try:
            self._holder = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        except OSError as error:
            raise CannotMount(f"unshare: {error}") from error
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "mounted\n":
            _, words = self._holder.communicate()
            raise CannotMount(f"not root, and unshare refuses: {words.strip()}")
        self.path = Path(f"/proc/{self._holder.pid}/root{self.path}")

    def free(self) -> int:
        """Bytes left."""
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize

    def fill(self, leave: int) -> None:
        """Puts a ballast on it that leaves about `leave` bytes."""
        with self._ballast.open("wb") as file:
            while (more := self.free() - leave) > 0:
                chunk = min(more, 1 << 20)
                # Less than a block would never come to an end.
                if chunk < 4096:
                    break
                file.write(b"\1" * chunk)
                file.flush()
                os.fsync(file.fileno())

    def empty(self) -> None:
        """Takes the ballast away."""
        self._ballast.unlink()

    def __enter__(self) -> "SmallDisk":
        return self

    def __exit__(self, *_: object) -> None:
        if self._holder is None:
            self._run("umount", str(self.path))
        else:
            self._holder.communicate("\n")
