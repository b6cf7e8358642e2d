"""Gives up every right that serving the network does not need, for good; then proves it.

``setresuid`` from root clears the effective and permitted capabilities (capabilities(7));
``no_new_privs`` keeps any program started later from getting others (prctl(2)).
"""

from __future__ import annotations

import ctypes
import os
import pwd
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_STATUS = Path("/proc/self/status")
_SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


class PrivilegeError(Exception):
    """Rights are left, or cannot be given up; the text says which and what to do."""


class _Head(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def user(name: str) -> pwd.struct_passwd | None:
    """Whom root becomes; None: this process is not root, and stays who it is. Raises PrivilegeError."""
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise PrivilegeError(
            f"root does not serve the network, and there is no user {name}: make one with "
            f"'useradd --system --shell /usr/sbin/nologin {name}', or name another with --user"
        ) from None
    if found.pw_uid == 0:
        raise PrivilegeError(f"{name} is root as well; name another user with --user")
    return found


def give_up(become: pwd.struct_passwd | None) -> None:
    """Become ``become``, without groups and capabilities, for good. Raises PrivilegeError."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if become is not None:
            os.setgroups([])
            os.setresgid(become.pw_gid, become.pw_gid, become.pw_gid)
            os.setresuid(become.pw_uid, become.pw_uid, become.pw_uid)
        _call(libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _call(libc.prctl, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        _call(libc.capset, ctypes.byref(_Head(_CAPABILITY_VERSION_3, 0)), (_Data * 2)())
    except OSError as error:
        raise PrivilegeError(f"rights cannot be given up: {error.strerror}") from error
    left = leftover(_STATUS.read_text(encoding="ascii"))
    if left:
        raise PrivilegeError(f"this process still has rights that it must not have: {', '.join(left)}")


def leftover(status: str) -> list[str]:
    """Which rights a ``/proc/PID/status`` still shows (proc_pid_status(5))."""
    fields = {key: value.split() for key, _, value in (line.partition(":") for line in status.splitlines())}
    left = [name for name in _SETS if int(fields[name][0], 16)]
    left += ["uid 0"] if "0" in fields["Uid"] else []
    left += ["gid 0"] if "0" in [*fields["Gid"], *fields["Groups"]] else []
    return left + (["new privileges"] if fields["NoNewPrivs"] != ["1"] else [])


def _call(function: object, *arguments: object) -> None:
    if function(*arguments) != 0:  # type: ignore[operator]
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
