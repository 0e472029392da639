/* Terminals: lines and characters, minimum and time, draining, hanging up, large output. */
#include "check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;

static void *read_slave(void *arg)
{
	char *buf = arg;
	ssize_t n = read(slave, buf, 64);
	return (void *)(n < 0 ? -(long)errno : n);
}

static void *type_later(void *arg)
{
	sleep_ms(30);
	QUIET(write(master, arg, strlen(arg)) == (ssize_t)strlen(arg));
	return NULL;
}

static void mode(int canonical, int min, int time)
{
	struct termios t;
	MUST(tcgetattr(slave, &t) == 0);
	if (canonical)
		t.c_lflag |= ICANON;
	else
		t.c_lflag &= ~(tcflag_t)ICANON;
	t.c_lflag &= ~(tcflag_t)ECHO;
	t.c_oflag &= ~(tcflag_t)OPOST;
	t.c_cc[VMIN] = (cc_t)min;
	t.c_cc[VTIME] = (cc_t)time;
	MUST(tcsetattr(slave, TCSANOW, &t) == 0);
}

enum { BIG = 300000 };
static void *write_big(void *arg)
{
	char *big = malloc(BIG);
	memset(big, 'b', BIG);
	QUIET(write(slave, big, BIG) == BIG);
	QUIET(tcdrain(slave) == 0);
	free(big);
	return NULL;
}

static void *all(void *arg)
{
	char buf[64];
	pthread_t t, k;
	printf("-- lines\n");
	mode(1, 1, 0);
	t = spawn(read_slave, buf);
	k = spawn(type_later, "a line\nand");
	CHECK(join(t) == (void *)7 && !memcmp(buf, "a line\n", 7));
	join(k);
	t = spawn(read_slave, buf);
	k = spawn(type_later, " more\n");
	CHECK(join(t) == (void *)9 && !memcmp(buf, "and more\n", 9));
	join(k);
	k = spawn(type_later, "\4"); /* end of file */
	CHECK(read(slave, buf, 64) == 0);
	join(k);
	printf("-- characters\n");
	mode(0, 1, 0);
	k = spawn(type_later, "c");
	CHECK(read(slave, buf, 64) == 1 && buf[0] == 'c');
	join(k);
	mode(0, 0, 0);
	CHECK(read(slave, buf, 64) == 0);
	mode(0, 0, 1);
	CHECK(read(slave, buf, 64) == 0);
	mode(0, 4, 0);
	t = spawn(read_slave, buf);
	k = spawn(type_later, "ab");
	join(k);
	k = spawn(type_later, "cd");
	CHECK(join(t) == (void *)4 && !memcmp(buf, "abcd", 4));
	join(k);
	mode(0, 1, 0);
	QUIET(fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
	CHECK_ERRNO(EAGAIN, read(slave, buf, 64));
	QUIET(fcntl(slave, F_SETFL, O_RDWR) == 0);
	printf("-- output\n");
	t = spawn(write_big, NULL);
	size_t got = 0;
	while (got < BIG) {
		ssize_t n = read(master, buf, sizeof(buf));
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	join(t);
	CHECK(got == BIG);
	CHECK_ERRNO(ENOTTY, tcdrain(open("/dev/null", O_RDWR)));
	CHECK_ERRNO(EBADF, tcdrain(-1));
	int waiting = -1;
	QUIET(write(master, "xyz", 3) == 3);
	struct pollfd f = {.fd = slave, .events = POLLIN};
	CHECK(poll(&f, 1, 5000) == 1 && ioctl(slave, FIONREAD, &waiting) == 0 && waiting == 3);
	CHECK(read(slave, buf, 64) == 3);
	printf("-- hanging up\n");
	t = spawn(read_slave, buf);
	sleep_ms(300); /* it has to be inside read(): who comes later reads the end of the file */
	close(master);
	CHECK(join(t) == (void *)-EIO);
	CHECK_ERRNO(EIO, write(slave, "x", 1));
	CHECK(read(slave, buf, 64) == 0);
	CHECK(read(open("/dev/zero", O_RDONLY), buf, 64) == 64 && buf[9] == 0);
	CHECK(read(open("/dev/urandom", O_RDONLY), buf, 64) == 64);
	CHECK_ERRNO(ENOSPC, write(open("/dev/full", O_WRONLY), buf, 64));
	CHECK(read(open("/dev/null", O_RDWR), buf, 64) == 0);
	return NULL;
}

int main(void)
{
	signal(SIGHUP, SIG_IGN);
	MUST((master = posix_openpt(O_RDWR | O_NOCTTY)) >= 0);
	MUST(grantpt(master) == 0 && unlockpt(master) == 0);
	MUST((slave = open(ptsname(master), O_RDWR | O_NOCTTY)) >= 0);
	join(spawn(all, NULL));
	return check_done();
}
