/* An echo server: what a client sends comes back.  One task per connection, plain blocking code.
 *
 *   cc -O2 echo.c -o echo $(pkg-config --cflags --libs greenhook)
 *   ./echo 7777 &
 *   printf 'hello\n' | nc -N localhost 7777
 *   kill %1                                     ends it once its clients have gone, or after 5 s
 *
 * Usage: echo [PORT]; port 0, the default, is any free one.
 */
#include <errno.h>
#include <greenhook.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int listener;
static sigset_t stop_signals;

/* A client that says nothing for a minute is sent away. */
static int serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096];
	int64_t n;

	while ((n = gh_recv_until(fd, buf, sizeof(buf), gh_after(GH_S(60)))) > 0)
		if (gh_send_until(fd, buf, (size_t)n, gh_after(GH_S(60))) != n)
			break;
	gh_close(fd);
	return 0; /* whatever happened: one client's error is not the server's */
}

/* SIGINT and SIGTERM are blocked everywhere and waited for here.  Then nobody can connect any
 * more, and the accept of main says -EINVAL. */
static void *wait_for_the_end(void *arg)
{
	int sig;
	(void)arg;
	sigwait(&stop_signals, &sig);
	gh_half_close(listener, 2);
	return NULL;
}

int main(int argc, char **argv)
{
	gh_addr address;
	char text[GH_ADDR_TEXT];
	int fd;

	sigemptyset(&stop_signals);
	sigaddset(&stop_signals, SIGINT);
	sigaddset(&stop_signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &stop_signals, NULL);

	listener = gh_tcp_listen("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0, 0);
	if (listener < 0) {
		fprintf(stderr, "echo: cannot listen: %s\n", strerror(-listener));
		return 1;
	}
	gh_net_local(listener, &address);
	gh_addr_text(&address, text, sizeof(text));
	printf("listening on %s\n", text);
	fflush(stdout);
	gh_go(wait_for_the_end, NULL, NULL);

	gh_group *clients = gh_group_new(NULL, 0);
	while ((fd = gh_accept(listener, NULL)) != -EINVAL) {
		if (fd >= 0 && gh_group_spawn(clients, serve, (void *)(intptr_t)fd, NULL) == 0)
			continue;
		/* Too many descriptors, or no memory for a task: this one client is out of luck. */
		if (fd >= 0)
			gh_close(fd);
		else
			gh_sleep(GH_MS(10));
	}
	gh_close(listener);
	/* Those who are being served may finish; who does not is cancelled. */
	gh_group_wait_until(clients, gh_after(GH_S(5)));
	gh_group_free(clients);
	printf("ended\n");
	return 0;
}
