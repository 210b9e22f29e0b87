"""A PostgreSQL of one's own: its data in a folder, listening on this machine alone, with a password in a file."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scanproof.errors import ScanproofError

#: role of everything that is stored
USER: Final = "scanproof"
#: address on which the services listen
HOST: Final = "127.0.0.1"
#: may hold the password of a new cluster; without it, one is made up
PASSWORD: Final = "SCANPROOF_POSTGRES_PASSWORD"  # noqa: S105 (the name of a variable)
_INSTALL: Final = "install it, on Debian with apt install postgresql"


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL cluster; passwords stand neither in its URLs nor in command lines.

    Args:
        folder: of data, log and password file; it must be on a path that the user ``postgres`` may enter where this
            program runs as root, as which PostgreSQL refuses to run.
        port: to listen on.
        options: further ones of ``postgres``.
    """

    folder: Path
    port: int = 5433
    options: Sequence[str] = ()

    @property
    def passfile(self) -> Path:
        """Password file as PostgreSQL's clients read it, if ``PGPASSFILE`` names it."""
        return self.folder.absolute() / "pgpass"

    @property
    def data(self) -> Path:
        """Where PostgreSQL keeps everything."""
        return self.folder.absolute() / "postgresql" / "data"

    def url(self, database: str) -> str:
        """Of a database, without the password.

        Example:
            >>> Cluster(Path("services")).url("mlflow")
            'postgresql+psycopg2://scanproof@127.0.0.1:5433/mlflow'
        """
        # without the driver's name SQLAlchemy 2.1 looks for psycopg 3
        return f"postgresql+psycopg2://{USER}@{HOST}:{self.port}/{database}"

    def is_running(self) -> bool:
        """Whether it runs."""
        return self.data.is_dir() and _run(self, "pg_ctl", "-D", str(self.data), "status").returncode == 0

    def start(self) -> None:
        """Start it; the first time it is made.

        Raises:
            ScanproofError: PostgreSQL is not installed, the folder cannot be used, or the port is taken.
        """
        if not self.data.is_dir():
            _make(self)
        if self.is_running():
            return
        settings = ["-p", str(self.port), "-h", HOST, "-c", "unix_socket_directories=", *self.options]
        log = self.data.parent / "log"
        arguments = ["-D", str(self.data), "-o", " ".join(settings), "-l", str(log), "-w", "start"]
        done = _run(self, "pg_ctl", *arguments)
        if done.returncode:
            said = log.read_text(errors="replace").strip().splitlines()[-10:] if log.is_file() else []
            # the cause, e.g. that a port is in use, comes before what follows from it
            cause = next((line for line in said if "could not" in line or "FATAL" in line), done.stderr.strip())
            hint = cause[:400]
            raise ScanproofError("PostgreSQL must start", file=log, value=f"port {self.port}", hint=hint)

    def stop(self) -> bool:
        """Stop it, after what it is doing; False if it did not run."""
        if not self.is_running():
            return False
        return _run(self, "pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop").returncode == 0

    def make_database(self, name: str) -> None:
        """Make a database, unless it is there.

        Raises:
            ScanproofError: PostgreSQL does not answer, or its driver is not installed.
        """
        try:
            import psycopg2
            from psycopg2 import errors, sql
        except ImportError:
            hint = "pip install 'scanproof[postgresql]'"
            raise ScanproofError("PostgreSQL's driver must be installed", value="psycopg2", hint=hint) from None
        try:
            connection = psycopg2.connect(
                host=HOST, port=self.port, user=USER, dbname="postgres", passfile=str(self.passfile)
            )
        except psycopg2.OperationalError as error:
            raise ScanproofError("PostgreSQL must answer", value=self.url("postgres"), hint=str(error)) from None
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except errors.DuplicateDatabase:
            pass
        finally:
            connection.close()


def _make(cluster: Cluster) -> None:
    """Make the cluster beside its place and move it there when it is whole."""
    password = os.environ.get(PASSWORD) or secrets.token_urlsafe(24)
    home, user = cluster.data.parent, _user()
    draft, secret = home / "new", home / "password"
    try:
        cluster.folder.mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        _write_secret(secret, password)
        if user:
            for path in (home, secret):
                os.chown(path, user["user"], user["group"])
        done = _run(
            cluster, "initdb", "-D", str(draft), "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8"
        )
        if done.returncode:
            hint = f"{done.stderr.strip()[-300:]}; PostgreSQL runs as user {_name(user)}, who must get into the folder"
            raise ScanproofError("PostgreSQL must be able to make its data", file=draft, hint=hint)
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        _write_secret(cluster.passfile, f"{HOST}:*:*:{USER}:{escaped}\n")
        draft.rename(cluster.data)
    except OSError as error:
        raise ScanproofError(f"folder must be writable: {error.strerror or error}", file=cluster.folder) from error
    finally:
        secret.unlink(missing_ok=True)


def _write_secret(path: Path, text: str) -> None:
    """Write a file that nobody else can read at any time."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _run(cluster: Cluster, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [_program(cluster, program), *arguments]
    # files, not pipes: a server that is started keeps them open
    with (cluster.folder / f".{program}-said").open("w+") as said:
        done = subprocess.run(  # noqa: S603 (no shell reads the arguments)
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False, **_user()
        )
        said.seek(0)
        text = said.read()
    Path(said.name).unlink(missing_ok=True)
    return subprocess.CompletedProcess(command, done.returncode, "", text)


def _program(cluster: Cluster, name: str) -> str:
    """A program of PostgreSQL, of the version that made the data; Debian keeps them where no PATH leads."""
    made = cluster.data / "PG_VERSION"
    version = made.read_text().strip() if made.is_file() else "*"
    kept = sorted(Path("/usr/lib/postgresql").glob(f"{version}/bin/{name}"), key=lambda path: path.parts[-3].zfill(4))
    found = str(kept[-1]) if kept else shutil.which(name)
    if found is None:
        raise ScanproofError("PostgreSQL must be installed", value=name, hint=_INSTALL)
    return found


def _user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root; then it runs as the first of these users that there is."""
    if os.geteuid():
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise ScanproofError("PostgreSQL must not run as root", hint="run this as another user")


def _name(user: dict[str, Any]) -> str:
    return pwd.getpwuid(user["user"] if user else os.geteuid()).pw_name
