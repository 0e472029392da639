/* Twenty threads in syslog(3) against a socket at /dev/log that nobody reads at first.  To be run
 * where /dev belongs to the program (a mount namespace). */
#include "libc_threads.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#define N 20
enum { EACH = 100 };

static void *logs(void *arg)
{
	count_me();
	for (int i = 0; i < EACH; i++)
		syslog(LOG_USER | LOG_INFO, "thread %d message %d", (int)(intptr_t)arg, i);
	return NULL;
}

int main(void)
{
	pthread_t t[N];
	int seen[N] = {0}, in_order = 1, whole = 0;
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);
	MUST(s >= 0 && bind(s, (struct sockaddr *)&a, sizeof(a)) == 0);
	openlog("libc_syslog", LOG_NDELAY, LOG_USER);
	for (intptr_t i = 0; i < N; i++)
		t[i] = spawn(logs, (void *)i);
	wait_counted(N);
	tell_kernel_threads();
	for (int i = 0; i < N * EACH; i++) {
		char msg[512], *at;
		ssize_t n = recv(s, msg, sizeof(msg) - 1, 0);
		int who, which;
		if (n <= 0)
			break;
		msg[n] = 0;
		at = strstr(msg, "thread ");
		if (at && sscanf(at, "thread %d message %d", &who, &which) == 2 && who >= 0 &&
		    who < N) {
			whole++;
			in_order &= seen[who]++ == which;
		}
	}
	for (int i = 0; i < N; i++)
		join(t[i]);
	CHECK(whole == N * EACH);
	CHECK(in_order);
	closelog();
	return check_done();
}
