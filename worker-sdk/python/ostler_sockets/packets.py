"""Packets of a channel between a worker and its master: words, and the descriptors that travel with them."""

import array
import os
import socket


def inherited(fd):
    """A socket that the master left to this process."""
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)


def receive(channel, most, descriptors):
    """A packet's text, and the descriptors that came with it, each closed on exec."""
    fds = array.array("i")
    space = socket.CMSG_LEN(descriptors * fds.itemsize)
    for is_reset in (False, True):
        try:
            text, beside, _, _ = channel.recvmsg(most, space, socket.MSG_CMSG_CLOEXEC)
            break
        except ConnectionResetError:  # Said once, and before what there is still to read.
            if is_reset:
                raise
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return text, list(fds)
