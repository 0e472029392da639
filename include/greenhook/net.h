/* greenhook/net.h: TCP, UDP and Unix sockets with deadlines, names and addresses.
 *
 * Descriptors are the kernel's own numbers, and blocking ones: plain read(), write(), poll() and
 * accept() work on them too and park as well, and these functions work on descriptors from
 * elsewhere.  O_NONBLOCK does not matter to them.  They are closed on exec, and sending to a peer
 * that has gone gives -EPIPE without SIGPIPE.
 *
 *   int l = gh_tcp_listen("localhost", 8080, 0);
 *   for (int c; (c = gh_accept(l, NULL)) >= 0;) ...
 *
 * Many may read or write one descriptor at once.  Tasks and green pthreads that wait on one which
 * is closed by gh_close() or close() get -EBADF; other threads are not woken, as without this
 * library: gh_half_close() wakes all.
 *
 * Hosts are names or numeric addresses; ports are numbers.  C11 and C++17.
 */
#ifndef GREENHOOK_NET_H
#define GREENHOOK_NET_H

#include <greenhook/base.h>

GH_BEGIN_DECLS

/* --- Addresses ----------------------------------------------------------------------------------
 */

/* A struct sockaddr of any family, and its length. */
typedef struct gh_addr {
	uint32_t len; /* bytes of data in use; 0: none */
	uint32_t reserved;
	uint64_t data[16];
} gh_addr;

/* Room for the text of any address. */
#define GH_ADDR_TEXT 128

/* Writes an address as text.
 *
 * a: the address.  buf, size: where to and how many bytes; GH_ADDR_TEXT is enough for all.  The
 * form is 1.2.3.4:80, [2001:db8::1]:80, /a/path, @abstract, or unnamed.
 *
 * Returns: the length without the final zero, or
 *   -EINVAL        a or buf is NULL
 *   -ENOSPC        it does not fit
 *   -EAFNOSUPPORT  it is of another family
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: inet_ntop(3)
 * Since: 0.2
 */
GH_API int gh_addr_text(const gh_addr *a, char *buf, size_t size);

/* Reads an address from text, in the form that gh_addr_text writes.
 *
 * text: no names.  ret: the address.
 *
 * Returns: 0, or
 *   -EINVAL        text or ret is NULL, or it is no address
 *   -ENAMETOOLONG  a path is longer than the kernel takes
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: inet_pton(3)
 * Since: 0.2
 */
GH_API int gh_addr_parse(const char *text, gh_addr *ret);

/* The addresses of a host.
 *
 * host: a name or a numeric address.  port: 0 to 65535.  ret, n: room for so many, at least one;
 * those that do not fit are left out.
 *
 * Returns: how many there are in ret, or
 *   -EINVAL  host or ret is NULL, n is 0, or there is no such port
 *   -ENOENT  nobody has this name
 *   -EAGAIN  the name server does not answer, another time it may
 *   -ENOMEM  there is no memory
 *   -EIO     it cannot be found out
 *   -ECANCELED  the task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: getaddrinfo(3)
 * Since: 0.2
 */
GH_API int gh_resolve(const char *host, int port, gh_addr *ret, size_t n);

/* The addresses of a host, waiting until a point in time.
 *
 * host, port, ret, n: as gh_resolve.  until: absolute, ns (gh_now).  In a thread that does not run
 * green libc's own limits hold instead.
 *
 * Returns: how many there are in ret, or
 *   -EINVAL     host or ret is NULL, n is 0, or there is no such port
 *   -ENOENT     nobody has this name
 *   -EAGAIN     the name server does not answer, another time it may
 *   -ENOMEM     there is no memory
 *   -EIO        it cannot be found out
 *   -ETIMEDOUT  it was not found out until then
 *   -ECANCELED  the task was cancelled
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: getaddrinfo(3)
 * Since: 0.2
 */
GH_API int gh_resolve_until(const char *host, int port, gh_addr *ret, size_t n, gh_time until);

/* The address that a socket is bound to.
 *
 * fd: a socket.  ret: the address.
 *
 * Returns: 0, or
 *   -EINVAL    ret is NULL
 *   -EBADF     fd is no descriptor
 *   -ENOTSOCK  fd is no socket
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: getsockname(2)
 * Since: 0.2
 */
GH_API int gh_net_local(int fd, gh_addr *ret);

/* The address that a socket is connected to.
 *
 * fd: a socket.  ret: the address.
 *
 * Returns: 0, or
 *   -EINVAL    ret is NULL
 *   -EBADF     fd is no descriptor
 *   -ENOTSOCK  fd is no socket
 *   -ENOTCONN  it is not connected
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: getpeername(2)
 * Since: 0.2
 */
GH_API int gh_net_peer(int fd, gh_addr *ret);

/* --- Streams ------------------------------------------------------------------------------------
 */

/* Listens on a TCP port.
 *
 * host: an address of this machine; NULL: all of them, IPv6 and IPv4.  port: 0: any that is free
 * (gh_net_local tells).  backlog: connections that may wait to be accepted; 0: as many as the
 * system allows.  A port that an earlier server has just left may be used again.
 *
 * Returns: a descriptor, or
 *   -EINVAL         there is no such port, or backlog is negative
 *   -EADDRINUSE     somebody listens there
 *   -EADDRNOTAVAIL  the address is not one of this machine
 *   -EACCES         the port is for the system
 *   -EMFILE         the process has too many descriptors
 *   and what gh_resolve and socket(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's net.Listen, listen(2)
 * Since: 0.2
 */
GH_API int gh_tcp_listen(const char *host, int port, int backlog);

/* Connects to a TCP port.
 *
 * host: a name or an address; all its addresses are tried one after the other.  port: 1 to 65535.
 * TCP_NODELAY is set.
 *
 * Returns: a descriptor, or
 *   -EINVAL        host is NULL, or there is no such port
 *   -ECONNREFUSED  nobody listens there
 *   -EMFILE        the process has too many descriptors
 *   -ECANCELED     the task was cancelled
 *   and what gh_resolve, socket(2) and connect(2) may give, for the last address
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's net.Dial
 * Since: 0.2
 */
GH_API int gh_tcp_dial(const char *host, int port);

/* Connects to a TCP port, waiting until a point in time.
 *
 * host, port: as gh_tcp_dial.  until: absolute, ns (gh_now), for all of it.
 *
 * Returns: a descriptor, or
 *   -EINVAL        host is NULL, or there is no such port
 *   -ETIMEDOUT     it was not connected until then
 *   -ECONNREFUSED  nobody listens there
 *   -EMFILE        the process has too many descriptors
 *   -ECANCELED     the task was cancelled
 *   and what gh_resolve, socket(2) and connect(2) may give, for the last address
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's net.DialTimeout
 * Since: 0.2
 */
GH_API int gh_tcp_dial_until(const char *host, int port, gh_time until);

/* Connects to an address.
 *
 * to: of a TCP port or a Unix stream socket, as gh_resolve, gh_addr_parse and gh_net_local give it.
 * until: absolute, ns (gh_now); GH_FOREVER: no limit.  TCP_NODELAY is set on TCP.
 *
 * Returns: a descriptor, or
 *   -EINVAL        to is NULL or no address
 *   -ETIMEDOUT     it was not connected until then
 *   -ECONNREFUSED  nobody listens there
 *   -EMFILE        the process has too many descriptors
 *   -ECANCELED     the task was cancelled
 *   and what socket(2) and connect(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: connect(2)
 * Since: 0.2
 */
GH_API int gh_dial(const gh_addr *to, gh_time until);

/* Listens on a Unix stream socket.
 *
 * path: a file that is not there yet, or @name for an abstract one.  backlog: as gh_tcp_listen.
 *
 * Returns: a descriptor, or
 *   -EINVAL        path is NULL or empty, or backlog is negative
 *   -ENAMETOOLONG  it is longer than the kernel takes
 *   -EADDRINUSE    it is there
 *   and what socket(2) and bind(2) may give
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: unix(7)
 * Since: 0.2
 */
GH_API int gh_unix_listen(const char *path, int backlog);

/* Connects to a Unix stream socket.
 *
 * path: as gh_unix_listen.
 *
 * Returns: a descriptor, or
 *   -EINVAL        path is NULL or empty
 *   -ENAMETOOLONG  it is longer than the kernel takes
 *   -ENOENT        there is no such file
 *   -ECONNREFUSED  nobody listens there
 *   -ECANCELED     the task was cancelled
 *   and what socket(2) and connect(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: unix(7)
 * Since: 0.2
 */
GH_API int gh_unix_dial(const char *path);

/* Connects to a Unix stream socket, waiting until a point in time.
 *
 * path: as gh_unix_listen.  until: absolute, ns (gh_now).  It waits when the listener's backlog is
 * full.
 *
 * Returns: a descriptor, or
 *   -EINVAL        path is NULL or empty
 *   -ENAMETOOLONG  it is longer than the kernel takes
 *   -ENOENT        there is no such file
 *   -ECONNREFUSED  nobody listens there
 *   -ETIMEDOUT     it was not connected until then
 *   -ECANCELED     the task was cancelled
 *   and what socket(2) and connect(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: unix(7)
 * Since: 0.2
 */
GH_API int gh_unix_dial_until(const char *path, gh_time until);

/* Takes the next connection of a listener.
 *
 * fd: a listening stream socket.  peer: who it is; NULL: not wanted.  TCP_NODELAY is set on TCP.
 *
 * Returns: a descriptor, or
 *   -EBADF      fd is no descriptor, or was closed while this waited
 *   -ENOTSOCK   fd is no socket
 *   -EINVAL     it does not listen
 *   -EMFILE     the process has too many descriptors
 *   -ECANCELED  the task was cancelled
 *   and what accept(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: accept(2)
 * Since: 0.2
 */
GH_API int gh_accept(int fd, gh_addr *peer);

/* Takes the next connection of a listener, waiting until a point in time.
 *
 * fd, peer: as gh_accept.  until: absolute, ns (gh_now).
 *
 * Returns: a descriptor, or
 *   -ETIMEDOUT  none came until then
 *   -EBADF      fd is no descriptor, or was closed while this waited
 *   -ENOTSOCK   fd is no socket
 *   -EINVAL     it does not listen
 *   -EMFILE     the process has too many descriptors
 *   -ECANCELED  the task was cancelled
 *   and what accept(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: accept(2)
 * Since: 0.2
 */
GH_API int gh_accept_until(int fd, gh_addr *peer, gh_time until);

/* --- Sending and receiving ----------------------------------------------------------------------
 */

/* Receives what is there, waiting for something.
 *
 * fd: a connected socket of any kind.  buf, n: room for so many bytes.
 *
 * Returns: bytes received, 0 at the end of a stream (or an empty datagram), or
 *   -EBADF      fd is no descriptor, or was closed while this waited
 *   -ENOTSOCK   fd is no socket (gh_read)
 *   -ECANCELED  the task was cancelled
 *   and what recv(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: recv(2)
 * Since: 0.2
 */
GH_API int64_t gh_recv(int fd, void *buf, size_t n);

/* Receives what is there, if there is something.
 *
 * fd, buf, n: as gh_recv.
 *
 * Returns: bytes received, 0 at the end of a stream (or an empty datagram), or
 *   -EAGAIN    there is nothing
 *   -EBADF     fd is no descriptor
 *   -ENOTSOCK  fd is no socket
 *   and what recv(2) may give
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: recv(2) with MSG_DONTWAIT
 * Since: 0.2
 */
GH_API int64_t gh_recv_try(int fd, void *buf, size_t n);

/* Receives what is there, waiting for something until a point in time.
 *
 * fd, buf, n: as gh_recv.  until: absolute, ns (gh_now).
 *
 * Returns: bytes received, 0 at the end of a stream (or an empty datagram), or
 *   -ETIMEDOUT  nothing came until then
 *   -EBADF      fd is no descriptor, or was closed while this waited
 *   -ENOTSOCK   fd is no socket
 *   -ECANCELED  the task was cancelled
 *   and what recv(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: recv(2) with SO_RCVTIMEO
 * Since: 0.2
 */
GH_API int64_t gh_recv_until(int fd, void *buf, size_t n, gh_time until);

/* Sends a buffer, all of it.
 *
 * fd: a connected socket of any kind.  buf, n: what; of a datagram socket it is one datagram.
 * The bytes of two callers at once may mix.
 *
 * Returns: n, or, if nothing at all was sent (else: the bytes that were),
 *   -EPIPE      the peer receives no more; there is no SIGPIPE
 *   -EBADF      fd is no descriptor, or was closed while this waited
 *   -ENOTSOCK   fd is no socket (gh_write)
 *   -ECANCELED  the task was cancelled
 *   and what send(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: send(2)
 * Since: 0.2
 */
GH_API int64_t gh_send(int fd, const void *buf, size_t n);

/* Sends as much as can be taken at once.
 *
 * fd, buf, n: as gh_send.
 *
 * Returns: bytes sent, or
 *   -EAGAIN    nothing can be taken now
 *   -EPIPE     the peer receives no more; there is no SIGPIPE
 *   -EBADF     fd is no descriptor
 *   -ENOTSOCK  fd is no socket
 *   and what send(2) may give
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: send(2) with MSG_DONTWAIT
 * Since: 0.2
 */
GH_API int64_t gh_send_try(int fd, const void *buf, size_t n);

/* Sends a buffer, until a point in time.
 *
 * fd, buf, n: as gh_send.  until: absolute, ns (gh_now).
 *
 * Returns: n, or, if nothing at all was sent (else: the bytes that were),
 *   -ETIMEDOUT  nothing could be taken until then
 *   -EPIPE      the peer receives no more; there is no SIGPIPE
 *   -EBADF      fd is no descriptor, or was closed while this waited
 *   -ENOTSOCK   fd is no socket
 *   -ECANCELED  the task was cancelled
 *   and what send(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: send(2) with SO_SNDTIMEO
 * Since: 0.2
 */
GH_API int64_t gh_send_until(int fd, const void *buf, size_t n, gh_time until);

/* Sends a part of a file, which does not pass through the program.
 *
 * out: a connected stream socket.  in: a file.  at, n: which bytes of it, at counted from its
 * beginning; the position of in stays.  until: absolute, ns (gh_now); GH_FOREVER: no limit.
 *
 * Returns: n, or less when the file ends before, or, if nothing at all was sent (else: the bytes
 * that were),
 *   -EINVAL     at is negative, or in is nothing that can be sent from
 *   -ETIMEDOUT  nothing could be taken until then
 *   -EPIPE      the peer receives no more; there is no SIGPIPE
 *   -EBADF      out or in is no descriptor, or out was closed while this waited
 *   -ENOTSOCK   out is no socket
 *   -ECANCELED  the task was cancelled
 *   and what sendfile(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: sendfile(2)
 * Since: 0.2
 */
GH_API int64_t gh_sendfile(int out, int in, int64_t at, size_t n, gh_time until);

/* Ends one direction of a connection, or both.
 *
 * fd: a connected socket.  how: 0: no more is received; 1: no more is sent, and the peer reads the
 * end; 2: both.  Who waits is woken.
 *
 * Returns: 0, or
 *   -EBADF     fd is no descriptor
 *   -ENOTSOCK  fd is no socket
 *   -ENOTCONN  it is not connected
 *   -EINVAL    there is no such direction
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: shutdown(2)
 * Since: 0.2
 */
GH_API int gh_half_close(int fd, int how);

/* Closes a descriptor; who waits on it gets -EBADF.
 *
 * fd: of any kind.
 *
 * Returns: 0, or
 *   -EBADF  fd is no descriptor of the program
 *   and what close(2) may give; the descriptor is gone all the same
 * Parks: yes.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: close(2)
 * Since: 0.2
 */
GH_API int gh_close(int fd);

/* --- Datagrams ----------------------------------------------------------------------------------
 */

/* Makes a UDP socket that is bound to a port.
 *
 * host, port: as gh_tcp_listen.
 *
 * Returns: a descriptor, or
 *   -EINVAL      there is no such port
 *   -EADDRINUSE  somebody has it
 *   and what gh_resolve, socket(2) and bind(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's net.ListenPacket
 * Since: 0.2
 */
GH_API int gh_udp_bind(const char *host, int port);

/* Makes a UDP socket that talks to one peer.
 *
 * host, port: as gh_tcp_dial; its first address.
 *
 * Returns: a descriptor, for gh_send and gh_recv, or
 *   -EINVAL  host is NULL, or there is no such port
 *   and what gh_resolve, socket(2) and connect(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's net.Dial("udp")
 * Since: 0.2
 */
GH_API int gh_udp_dial(const char *host, int port);

/* Makes a Unix datagram socket that is bound to a path.
 *
 * path: as gh_unix_listen.
 *
 * Returns: a descriptor, or
 *   -EINVAL        path is NULL or empty
 *   -ENAMETOOLONG  it is longer than the kernel takes
 *   -EADDRINUSE    it is there
 *   and what socket(2) and bind(2) may give
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: unix(7)
 * Since: 0.2
 */
GH_API int gh_unix_bind(const char *path);

/* Receives a datagram and who sent it.
 *
 * fd: a datagram socket.  buf, n: room; what is longer is cut.  from: the sender; NULL: not wanted.
 * until: absolute, ns (gh_now); GH_FOREVER: no limit.  A Unix socket that is bound to nothing sends
 * as "unnamed", which cannot be sent to.
 *
 * Returns: bytes received, or
 *   -ETIMEDOUT  none came until then
 *   -EBADF      fd is no descriptor, or was closed while this waited
 *   -ENOTSOCK   fd is no socket
 *   -ECANCELED  the task was cancelled
 *   and what recvfrom(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: recvfrom(2)
 * Since: 0.2
 */
GH_API int64_t gh_recvfrom(int fd, void *buf, size_t n, gh_addr *from, gh_time until);

/* Sends a datagram.
 *
 * fd: a datagram socket.  buf, n: the datagram.  to: the receiver; NULL: the one that the socket is
 * connected to.  until: absolute, ns (gh_now); GH_FOREVER: no limit.
 *
 * Returns: n, or
 *   -ETIMEDOUT  it could not be taken until then
 *   -EBADF      fd is no descriptor, or was closed while this waited
 *   -ENOTSOCK   fd is no socket
 *   -EMSGSIZE   it is too long
 *   -ECANCELED  the task was cancelled
 *   and what sendto(2) may give
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: sendto(2)
 * Since: 0.2
 */
GH_API int64_t gh_sendto(int fd, const void *buf, size_t n, const gh_addr *to, gh_time until);

/* --- Options ------------------------------------------------------------------------------------
 */

enum {
	GH_NET_NODELAY = 1,	/* 0 or 1: small TCP segments are sent at once */
	GH_NET_KEEPALIVE = 2,	/* seconds without traffic before the peer is asked; 0: never */
	GH_NET_SEND_BUFFER = 3, /* bytes that the kernel keeps */
	GH_NET_RECV_BUFFER = 4,
	GH_NET_LINGER = 5,    /* 1: closing resets the connection; 0: as usual */
	GH_NET_BROADCAST = 6, /* 0 or 1: datagrams to all */
};

/* Sets an option of a socket.
 *
 * fd: a socket.  option: GH_NET_...  value: as said there.
 *
 * Returns: 0, or
 *   -EINVAL       there is no such option or value
 *   -EBADF        fd is no descriptor
 *   -ENOTSOCK     fd is no socket
 *   -EOPNOTSUPP  it is not for sockets of this kind
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Like: setsockopt(2)
 * Since: 0.2
 */
GH_API int gh_net_set(int fd, int option, int value);

GH_END_DECLS

#endif
