/* syscall() by number, about descriptors: what waits parks, what makes or closes a number is noted.
 *
 * Only calls whose arguments are those of libc's function.  The rest goes to the kernel as it is.
 * A system call made this way is no cancellation point.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "hooks/hook.h"

bool ghi_raw_descriptor(long nr, const long a[6], long *ret);

static bool call(long nr, const long a[6], long *ret)
{
	int fd = (int)a[0];

	switch (nr) {
	case SYS_close:
		*ret = close(fd);
		break;
	case SYS_close_range:
		*ret = close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
		break;
	case SYS_dup:
		*ret = dup(fd);
		break;
#ifdef SYS_dup2
	case SYS_dup2:
		*ret = dup2(fd, (int)a[1]);
		break;
	case SYS_pipe:
		*ret = pipe((int *)a[0]);
		break;
	case SYS_poll:
		*ret = poll((struct pollfd *)a[0], (nfds_t)a[1], (int)a[2]);
		break;
	case SYS_select:
		*ret = select(fd, (fd_set *)a[1], (fd_set *)a[2], (fd_set *)a[3],
			      (struct timeval *)a[4]);
		break;
	case SYS_epoll_wait:
		*ret = epoll_wait(fd, (struct epoll_event *)a[1], (int)a[2], (int)a[3]);
		break;
	case SYS_open:
		*ret = open((const char *)a[0], (int)a[1], (mode_t)a[2]);
		break;
#endif
	case SYS_dup3:
		*ret = dup3(fd, (int)a[1], (int)a[2]);
		break;
	case SYS_pipe2:
		*ret = pipe2((int *)a[0], (int)a[1]);
		break;
	case SYS_eventfd2:
		*ret = eventfd((unsigned)a[0], (int)a[1]);
		break;
	case SYS_timerfd_create:
		*ret = timerfd_create((clockid_t)a[0], (int)a[1]);
		break;
	case SYS_epoll_create1:
		*ret = epoll_create1(fd);
		break;
	case SYS_socket:
		*ret = socket(fd, (int)a[1], (int)a[2]);
		break;
	case SYS_socketpair:
		*ret = socketpair(fd, (int)a[1], (int)a[2], (int *)a[3]);
		break;
	case SYS_openat:
		*ret = openat(fd, (const char *)a[1], (int)a[2], (mode_t)a[3]);
		break;
	case SYS_fcntl:
		*ret = fcntl(fd, (int)a[1], a[2]);
		break;
	case SYS_ioctl:
		*ret = ioctl(fd, (unsigned long)a[1], a[2]);
		break;
	case SYS_setsockopt:
		*ret = setsockopt(fd, (int)a[1], (int)a[2], (const void *)a[3], (socklen_t)a[4]);
		break;
	case SYS_read:
		*ret = read(fd, (void *)a[1], (size_t)a[2]);
		break;
	case SYS_write:
		*ret = write(fd, (const void *)a[1], (size_t)a[2]);
		break;
	case SYS_readv:
		*ret = readv(fd, (const struct iovec *)a[1], (int)a[2]);
		break;
	case SYS_writev:
		*ret = writev(fd, (const struct iovec *)a[1], (int)a[2]);
		break;
	case SYS_connect:
		*ret = connect(fd, (const struct sockaddr *)a[1], (socklen_t)a[2]);
		break;
	case SYS_accept:
		*ret = accept(fd, (struct sockaddr *)a[1], (socklen_t *)a[2]);
		break;
	case SYS_accept4:
		*ret = accept4(fd, (struct sockaddr *)a[1], (socklen_t *)a[2], (int)a[3]);
		break;
	case SYS_recvfrom:
		*ret = recvfrom(fd, (void *)a[1], (size_t)a[2], (int)a[3], (struct sockaddr *)a[4],
				(socklen_t *)a[5]);
		break;
	case SYS_sendto:
		*ret = sendto(fd, (const void *)a[1], (size_t)a[2], (int)a[3],
			      (const struct sockaddr *)a[4], (socklen_t)a[5]);
		break;
	case SYS_recvmsg:
		*ret = recvmsg(fd, (struct msghdr *)a[1], (int)a[2]);
		break;
	case SYS_sendmsg:
		*ret = sendmsg(fd, (const struct msghdr *)a[1], (int)a[2]);
		break;
	case SYS_recvmmsg:
		*ret = recvmmsg(fd, (struct mmsghdr *)a[1], (unsigned)a[2], (int)a[3],
				(struct timespec *)a[4]);
		break;
	case SYS_sendmmsg:
		*ret = sendmmsg(fd, (struct mmsghdr *)a[1], (unsigned)a[2], (int)a[3]);
		break;
	case SYS_sendfile:
		*ret = sendfile(fd, (int)a[1], (off_t *)a[2], (size_t)a[3]);
		break;
	case SYS_splice:
		*ret = splice(fd, (off_t *)a[1], (int)a[2], (off_t *)a[3], (size_t)a[4],
			      (unsigned)a[5]);
		break;
	default:
		return false;
	}
	return true;
}

bool ghi_raw_descriptor(long nr, const long a[6], long *ret)
{
	int state;
	REAL(pthread_setcancelstate)(PTHREAD_CANCEL_DISABLE, &state);
	bool done = call(nr, a, ret);
	int saved = errno;
	if (state == PTHREAD_CANCEL_ENABLE)
		pthread_setcancelstate(state, NULL);
	errno = saved;
	return done;
}
