/* O_NONBLOCK set by a child on a file that it inherited is seen at the next call, however the child
 * was made. */
#include "check.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

extern char **environ;
static char self[4096], number[16];

static void *send_later(void *arg)
{
	sleep_ms(10);
	QUIET(send(*(int *)arg, "x", 1, 0) == 1);
	return NULL;
}

static void *all(void *arg)
{
	char command[5000], c;
	int status;
	for (int how = 0; how < 4; how++) {
		int s[2];
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
		/* The socket is known as a blocking one. */
		pthread_t t = spawn(send_later, &s[1]);
		QUIET(recv(s[0], &c, 1, 0) == 1);
		join(t);
		snprintf(number, sizeof(number), "%d", s[0]);
		snprintf(command, sizeof(command), "%s %s", self, number);
		if (how == 0) {
			char *argv[] = {self, number, NULL};
			pid_t pid;
			QUIET(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0);
			QUIET(waitpid(pid, &status, 0) == pid && status == 0);
		} else if (how == 1) {
			QUIET(system(command) == 0);
		} else if (how == 2) {
			QUIET(pclose(popen(command, "w")) == 0);
		} else {
			pid_t pid = fork();
			if (pid == 0)
				_exit(fcntl(s[0], F_SETFL, O_RDWR | O_NONBLOCK) != 0);
			QUIET(waitpid(pid, &status, 0) == pid && status == 0);
		}
		CHECK_ERRNO(EAGAIN, recv(s[0], &c, 1, 0));
		close(s[0]), close(s[1]);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return fcntl(atoi(argv[1]), F_SETFL, O_RDWR | O_NONBLOCK) != 0;
	MUST(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	join(spawn(all, NULL));
	return check_done();
}
