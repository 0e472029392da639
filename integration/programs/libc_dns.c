/* libc_dns N: N threads in getaddrinfo at once, against a resolver of this program that answers
 * each question after 200 ms. */
#include "libc_threads.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <resolv.h>
#include <sys/socket.h>

enum { MAX = 2000, DELAY_MS = 200 };
static int server, port, wanted;

static struct question {
	struct sockaddr_in from;
	int64_t due;
	int len;
	unsigned char msg[512];
} questions[MAX * 2];

/* One question of type A for "nK.test": the address 10.0.K/256.K%256. */
static void answer(struct question *q)
{
	unsigned char *m = q->msg;
	int k = atoi((char *)m + 14), n = q->len;
	m[2] = 0x85; /* response, authoritative, recursion desired */
	m[3] = 0x80;
	m[7] = 1;
	m[9] = m[11] = 0;
	int end = 12;
	while (m[end])
		end += m[end] + 1;
	n = end + 5;
	const unsigned char rr[] = {0xc0,
				    12,
				    0,
				    1,
				    0,
				    1,
				    0,
				    0,
				    0,
				    60,
				    0,
				    4,
				    10,
				    0,
				    (unsigned char)(k / 256),
				    (unsigned char)(k % 256)};
	memcpy(m + n, rr, sizeof(rr));
	sendto(server, m, (size_t)n + sizeof(rr), 0, (struct sockaddr *)&q->from, sizeof(q->from));
}

static void *resolver(void *arg)
{
	int head = 0, tail = 0;
	while (head < wanted) {
		int64_t now = now_ns(CLOCK_MONOTONIC);
		int ms =
		    tail == head ? 5000 : (int)((questions[head].due - now + 999999) / 1000000);
		struct pollfd p = {.fd = server, .events = POLLIN};
		if (ms > 0 && poll(&p, 1, ms) == 0 && tail == head)
			break; /* nobody asks any more */
		struct question *q = &questions[tail];
		socklen_t len = sizeof(q->from);
		while (tail < MAX * 2 &&
		       (q->len = (int)recvfrom(server, q->msg, 400, MSG_DONTWAIT,
					       (struct sockaddr *)&q->from, &len)) > 12) {
			q->due = now_ns(CLOCK_MONOTONIC) + DELAY_MS * 1000000ll;
			q = &questions[++tail];
		}
		for (now = now_ns(CLOCK_MONOTONIC); head < tail && questions[head].due <= now;)
			answer(&questions[head++]);
	}
	return NULL;
}

static void *ask(void *arg)
{
	int k = (int)(intptr_t)arg;
	char name[32], got[INET_ADDRSTRLEN], want[32];
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *res = NULL;

	MUST(res_init() == 0); /* this thread's own resolver state */
	_res.nscount = 1;
	_res.nsaddr_list[0] = (struct sockaddr_in){.sin_family = AF_INET,
						   .sin_port = htons((uint16_t)port),
						   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	count_me();
	snprintf(name, sizeof(name), "n%d.test.", k);
	snprintf(want, sizeof(want), "10.0.%d.%d", k / 256, k % 256);
	int r = getaddrinfo(name, NULL, &hints, &res);
	QUIET(r == 0);
	if (r == 0) {
		inet_ntop(AF_INET, &((struct sockaddr_in *)res->ai_addr)->sin_addr, got,
			  sizeof(got));
		QUIET(!strcmp(got, want));
		freeaddrinfo(res);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static pthread_t t[MAX];
	int n = argc > 1 ? atoi(argv[1]) : 200, big = 4 << 20;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	raise_descriptor_limit();
	MUST(n > 0 && n <= MAX);
	wanted = n;
	server = socket(AF_INET, SOCK_DGRAM, 0);
	MUST(server >= 0 && bind(server, (struct sockaddr *)&a, sizeof(a)) == 0);
	setsockopt(server, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	MUST(getsockname(server, (struct sockaddr *)&a, &len) == 0);
	port = ntohs(a.sin_port);
	int64_t start = now_ns(CLOCK_MONOTONIC);
	pthread_t r = spawn(resolver, NULL);
	for (intptr_t i = 0; i < n; i++)
		t[i] = spawn(ask, (void *)i);
	while (__atomic_load_n(&counted, __ATOMIC_SEQ_CST) < n)
		sleep_ms(1);
	tell_kernel_threads();
	for (int i = 0; i < n; i++)
		join(t[i]);
	int64_t took = now_ns(CLOCK_MONOTONIC) - start;
	fprintf(stderr, "milliseconds: %d\n", (int)(took / 1000000));
	CHECK(took >= DELAY_MS * 1000000ll);
	join(r);
	return check_done();
}
