/* greenhook/chan.h: channels, and select over channels, descriptors and time.
 *
 * A channel carries elements of one size, by copy, first in, first out: from any task or thread to
 * any other, kernel threads included.
 *
 *   gh_chan *c = gh_chan_new(sizeof(int), 16);          room for 16; 0: sender and receiver meet
 *   gh_chan_send(c, &(int){42});                        waits while it is full
 *   int x;
 *   while (gh_chan_recv(c, &x) == 0) ...                waits while it is empty
 *   gh_chan_close(c);                                   receivers take the rest, then get -EPIPE
 *   gh_chan_unref(c);
 *
 * Who waits first is served first.  How nothing is lost is in docs/channels.md.  Elements are
 * copied under the channel's lock: send pointers to what is large.
 *
 * A handle has a count of references; a call needs one that lives until it returns.  C11 and C++17.
 */
#ifndef GREENHOOK_CHAN_H
#define GREENHOOK_CHAN_H

#include <greenhook/base.h>

GH_BEGIN_DECLS

typedef struct gh_chan gh_chan;

#define GH_CHAN_UNBOUNDED SIZE_MAX

/* Makes a channel.
 *
 * size: bytes of an element; 0: it carries nothing but the fact.  capacity: elements that it holds
 * while nobody receives; 0: a sender waits until a receiver has taken its element;
 * GH_CHAN_UNBOUNDED: a sender never waits, and memory is the limit.  GH_CHAN_DEFINE makes
 * channels whose elements have a type.
 *
 * Returns: the channel, with one reference, or NULL and in errno
 *   EINVAL  size, capacity (but GH_CHAN_UNBOUNDED) or size * capacity is more than any memory
 *   ENOMEM  there is not so much memory
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's make(chan T, n)
 * Since: 0.2
 */
GH_API gh_chan *gh_chan_new(size_t size, size_t capacity);

/* Takes another reference.
 *
 * c: a channel of which the caller has a reference; NULL is given back.
 *
 * Returns: c, never an error.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: yes.
 * Since: 0.2
 */
GH_API gh_chan *gh_chan_ref(gh_chan *c);

/* Drops a reference; with the last one the channel is gone, and what it still holds.
 *
 * c: the channel, not to be used again by this reference; NULL: nothing happens.  Nobody may wait
 * in it when the last one is dropped.  It need not be closed.
 *
 * Returns: nothing.
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API void gh_chan_unref(gh_chan *c);

/* Sends an element, waiting for a receiver or for room.
 *
 * c: the channel.  element: copied from here; NULL only where elements have no bytes.
 *
 * Returns: 0, or
 *   -EINVAL     c is NULL or no channel, or element is NULL
 *   -EPIPE      the channel is closed, or was while this waited; the element was not sent
 *   -ENOMEM     there is no memory for one more (unbounded channels)
 *   -ECANCELED  the task was cancelled; the element was not sent
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's c <- x
 * Since: 0.2
 */
GH_API int gh_chan_send(gh_chan *c, const void *element);

/* Sends an element if that needs no waiting.
 *
 * c, element: as gh_chan_send.
 *
 * Returns: 0, or
 *   -EINVAL  c is NULL or no channel, or element is NULL
 *   -EAGAIN  nobody receives and there is no room
 *   -EPIPE   the channel is closed
 *   -ENOMEM  there is no memory for one more (unbounded channels)
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's select with a default
 * Since: 0.2
 */
GH_API int gh_chan_send_try(gh_chan *c, const void *element);

/* Sends an element, waiting until a point in time.
 *
 * c, element: as gh_chan_send.  until: absolute, ns (gh_now).
 *
 * Returns: 0, or
 *   -EINVAL     c is NULL or no channel, or element is NULL
 *   -ETIMEDOUT  nobody received and there was no room until then; the element was not sent
 *   -EPIPE      the channel is closed, or was while this waited; the element was not sent
 *   -ENOMEM     there is no memory for one more (unbounded channels)
 *   -ECANCELED  the task was cancelled; the element was not sent
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's select with time.After
 * Since: 0.2
 */
GH_API int gh_chan_send_until(gh_chan *c, const void *element, gh_time until);

/* Receives an element, waiting for one.
 *
 * c: the channel.  element: copied to here; NULL: it is dropped.
 *
 * Returns: 0, or
 *   -EINVAL     c is NULL or no channel
 *   -EPIPE      the channel is closed and empty
 *   -ECANCELED  the task was cancelled; nothing was received
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's x, ok = <-c
 * Since: 0.2
 */
GH_API int gh_chan_recv(gh_chan *c, void *element);

/* Receives an element if there is one.
 *
 * c, element: as gh_chan_recv.
 *
 * Returns: 0, or
 *   -EINVAL  c is NULL or no channel
 *   -EAGAIN  it is empty and nobody sends
 *   -EPIPE   the channel is closed and empty
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's select with a default
 * Since: 0.2
 */
GH_API int gh_chan_recv_try(gh_chan *c, void *element);

/* Receives an element, waiting until a point in time.
 *
 * c, element: as gh_chan_recv.  until: absolute, ns (gh_now).
 *
 * Returns: 0, or
 *   -EINVAL     c is NULL or no channel
 *   -ETIMEDOUT  none came until then
 *   -EPIPE      the channel is closed and empty
 *   -ECANCELED  the task was cancelled; nothing was received
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's select with time.After
 * Since: 0.2
 */
GH_API int gh_chan_recv_until(gh_chan *c, void *element, gh_time until);

/* Ends a channel: nothing more can be sent.
 *
 * c: the channel.  Who waits to send gets -EPIPE and keeps its element; receivers take what is
 * held, then get -EPIPE.
 *
 * Returns: 0, or
 *   -EINVAL    c is NULL or no channel
 *   -EALREADY  it was closed before
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's close(c)
 * Since: 0.2
 */
GH_API int gh_chan_close(gh_chan *c);

/* Whether a channel was closed.
 *
 * c: the channel.
 *
 * Returns: 1 when it was, 0 when not, or
 *   -EINVAL  c is NULL or no channel
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Since: 0.2
 */
GH_API int gh_chan_closed(gh_chan *c);

/* How many elements a channel holds right now, not counting those of senders that wait.
 *
 * c: the channel.
 *
 * Returns: the number, or
 *   -EINVAL  c is NULL or no channel
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's len(c)
 * Since: 0.2
 */
GH_API int64_t gh_chan_len(gh_chan *c);

/* --- Select -------------------------------------------------------------------------------------
 */

enum {
	GH_CASE_SEND = 1,
	GH_CASE_RECV = 2,
	GH_CASE_READABLE = 3,
	GH_CASE_WRITABLE = 4,
	GH_CASE_TIME = 5,
};

/* One thing to wait for.  Made by the macros below. */
typedef struct gh_case {
	int op;
	int fd;
	gh_chan *chan; /* NULL: never ready, which is how a case is switched off */
	void *element;
	gh_time at;
	int result; /* answer, of the case that was chosen */
} gh_case;

#define GH_SEND(chan, element)                                                                     \
	{                                                                                          \
		GH_CASE_SEND, -1, (chan), (void *)(element), 0, 0                                  \
	}
#define GH_RECV(chan, element)                                                                     \
	{                                                                                          \
		GH_CASE_RECV, -1, (chan), (element), 0, 0                                          \
	}
#define GH_READABLE(fd)                                                                            \
	{                                                                                          \
		GH_CASE_READABLE, (fd), NULL, NULL, 0, 0                                           \
	}
#define GH_WRITABLE(fd)                                                                            \
	{                                                                                          \
		GH_CASE_WRITABLE, (fd), NULL, NULL, 0, 0                                           \
	}
#define GH_AT(time)                                                                                \
	{                                                                                          \
		GH_CASE_TIME, -1, NULL, NULL, (time), 0                                            \
	}

/* Waits until one of several things can be done, and does it.
 *
 * cases: what to wait for; of those that are ready one is chosen at random.  n: how many, at most
 * 16384; 0 waits until the task is cancelled.
 * A GH_SEND or GH_RECV is done when it is chosen: result is 0, or -EPIPE when the channel is
 * closed. A GH_READABLE or GH_WRITABLE descriptor is only looked at: result is what poll(2) says of
 * it (POLLIN, POLLHUP, ...), or -EBADF.  GH_AT is ready from its time on.  A case without channel
 * (NULL) or with a negative descriptor is never ready.
 *
 *   gh_case c[] = {GH_RECV(jobs, &job), GH_READABLE(fd), GH_AT(gh_after(GH_S(1)))};
 *   switch (gh_select(c, 3)) ...
 *
 * Returns: the index of the case that was done, or
 *   -EINVAL     cases is NULL, a case has no such op or no channel, or nothing to send
 *   -E2BIG      n is more than 16384
 *   -ENOMEM     there is no memory
 *   -EMFILE     a kernel thread needs one more descriptor and there is none
 *   -ECANCELED  the task was cancelled; nothing was done
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's select, poll(2)
 * Since: 0.2
 */
GH_API int gh_select(gh_case *cases, size_t n);

/* Does one of several things if that needs no waiting.
 *
 * cases, n: as gh_select.
 *
 * Returns: the index of the case that was done, or
 *   -EAGAIN  none is ready
 *   -EINVAL  cases is NULL, a case has no such op or no channel, or nothing to send
 *   -E2BIG   n is more than 16384
 *   -ENOMEM  there is no memory
 * Parks: no.  Cancellation point: no.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's select with a default
 * Since: 0.2
 */
GH_API int gh_select_try(gh_case *cases, size_t n);

/* Waits until one of several things can be done, or until a point in time.
 *
 * cases, n: as gh_select.  until: absolute, ns (gh_now).
 *
 * Returns: the index of the case that was done, or
 *   -ETIMEDOUT  none was ready until then
 *   -EINVAL     cases is NULL, a case has no such op or no channel, or nothing to send
 *   -E2BIG      n is more than 16384
 *   -ENOMEM     there is no memory
 *   -EMFILE     a kernel thread needs one more descriptor and there is none
 *   -ECANCELED  the task was cancelled; nothing was done
 * Parks: yes.  Cancellation point: yes.  Thread-safe: yes.  Signal-safe: no.
 * Like: Go's select, poll(2)
 * Since: 0.2
 */
GH_API int gh_select_until(gh_case *cases, size_t n, gh_time until);

GH_END_DECLS

/* --- Typed channels -----------------------------------------------------------------------------
 *
 * GH_CHAN_DEFINE(ints, int) makes a type `ints` of channels of int, and functions that check:
 *
 *   ints c = ints_new(16);
 *   ints_send(c, 42);
 *   int x;
 *   ints_recv(c, &x);
 *   ints_close(c); ints_unref(c);
 *
 * also ints_send_try, _until, ints_recv_try, _until, ints_ref; c.chan is the channel itself, for
 * gh_select and the rest.  Use it where types are declared.
 */
#define GH_CHAN_INLINE __attribute__((unused)) static inline
#define GH_CHAN_DEFINE(name, type)                                                                 \
	typedef struct name {                                                                      \
		gh_chan *chan;                                                                     \
	} name;                                                                                    \
	GH_CHAN_INLINE name name##_new(size_t capacity)                                            \
	{                                                                                          \
		name c;                                                                            \
		c.chan = gh_chan_new(sizeof(type), capacity);                                      \
		return c;                                                                          \
	}                                                                                          \
	GH_CHAN_INLINE name name##_ref(name c)                                                     \
	{                                                                                          \
		gh_chan_ref(c.chan);                                                               \
		return c;                                                                          \
	}                                                                                          \
	GH_CHAN_INLINE void name##_unref(name c)                                                   \
	{                                                                                          \
		gh_chan_unref(c.chan);                                                             \
	}                                                                                          \
	GH_CHAN_INLINE int name##_send(name c, type element)                                       \
	{                                                                                          \
		return gh_chan_send(c.chan, &element);                                             \
	}                                                                                          \
	GH_CHAN_INLINE int name##_send_try(name c, type element)                                   \
	{                                                                                          \
		return gh_chan_send_try(c.chan, &element);                                         \
	}                                                                                          \
	GH_CHAN_INLINE int name##_send_until(name c, type element, gh_time until)                  \
	{                                                                                          \
		return gh_chan_send_until(c.chan, &element, until);                                \
	}                                                                                          \
	GH_CHAN_INLINE int name##_recv(name c, type *element)                                      \
	{                                                                                          \
		return gh_chan_recv(c.chan, element);                                              \
	}                                                                                          \
	GH_CHAN_INLINE int name##_recv_try(name c, type *element)                                  \
	{                                                                                          \
		return gh_chan_recv_try(c.chan, element);                                          \
	}                                                                                          \
	GH_CHAN_INLINE int name##_recv_until(name c, type *element, gh_time until)                 \
	{                                                                                          \
		return gh_chan_recv_until(c.chan, element, until);                                 \
	}                                                                                          \
	GH_CHAN_INLINE int name##_close(name c)                                                    \
	{                                                                                          \
		return gh_chan_close(c.chan);                                                      \
	}                                                                                          \
	struct name /* takes the semicolon */

#endif
