"""A connection with TLS, for two threads."""

import ssl
import threading


class TlsSocket:
    """A TLS connection that one thread may send on while another receives: one at a time, for OpenSSL's sake."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        """`sock` must not block."""
        self._socket = sock
        self._turn = threading.Lock()
        self.fileno = sock.fileno
        self.close = sock.close

    def send(self, data: bytes) -> int:
        """Send what is taken now, and say how much that was; raises `OSError`."""
        with self._turn:
            return self._socket.send(data)

    def recv(self, size: int) -> bytes:
        """What has come, `size` bytes of it at most, empty at the end; raises `OSError`."""
        with self._turn:
            return self._socket.recv(size)
