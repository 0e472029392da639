/* A crawler: fetches a page and all that it leads to on the same server, many at once.
 *
 *   cc -O2 crawl.c -o crawl $(pkg-config --cflags --libs greenhook)
 *   ./files . 8080 &                            a server to crawl (files.c)
 *   ./crawl localhost 8080 /index.html
 *   ./crawl localhost 8080 /index.html 100 4 10    at most 100 pages, 4 at a time, 10 s in all
 *
 * Usage: crawl HOST PORT PATH [PAGES [AT-ONCE [SECONDS]]].
 *
 * A task per page, all in one group; a semaphore bounds how many connections there are at once.
 * The deadline is the first task's: the others inherit it, and whatever they wait for ends then.
 * robots.txt is fetched by a future: each page waits for it, the first and the last alike.  The
 * exit status is 0 when every page was fetched, 2 when some failed, 3 when the time was over.
 */
#include <errno.h>
#include <greenhook.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1 << 20, PATH = 512 };

static const char *host;
static int port, most = 1000, at_once = 16;
static gh_time until;

static gh_group *pages;
static gh_sem connections;
static gh_future *robots;

/* Pages that were found, so that each is fetched once. */
static gh_mutex lock = GH_MUTEX_INIT;
static char (*found)[PATH];
static int known, fetched, failed; /* under the lock */

/* ---- one page ----------------------------------------------------------------------------------
 */

/* The whole answer to a GET, with a zero behind it: bytes, or a negative errno. */
static int64_t get(const char *path, char *answer, size_t size)
{
	char request[PATH + 300];
	size_t have = 0;
	int64_t n;
	int fd = gh_tcp_dial_until(host, port, gh_after(GH_S(5)));

	if (fd < 0)
		return fd;
	int length =
	    snprintf(request, sizeof(request),
		     "GET %s HTTP/1.1\r\nHost: %.200s\r\nConnection: close\r\n\r\n", path, host);
	if ((n = gh_send_until(fd, request, (size_t)length, gh_after(GH_S(5)))) == length) {
		while (have < size - 1 && (n = gh_recv_until(fd, answer + have, size - 1 - have,
							     gh_after(GH_S(5)))) > 0)
			have += (size_t)n;
		answer[have] = '\0';
	}
	gh_close(fd);
	return n < 0 ? n : (int64_t)have;
}

static int status_of(const char *answer)
{
	int status = 0;
	return sscanf(answer, "HTTP/1.%*d %d", &status) == 1 ? status : 0;
}

/* What robots.txt says, without the head; empty when there is none. */
static void *fetch_robots(void *arg)
{
	char *answer = malloc(PAGE);
	int64_t n = answer ? get("/robots.txt", answer, PAGE) : -ENOMEM;
	(void)arg;
	if (n < 0 || status_of(answer) != 200) {
		free(answer);
		return calloc(1, 1);
	}
	return answer;
}

/* "Disallow: PREFIX" for anybody. */
static bool allowed(const char *rules, const char *path)
{
	while ((rules = strstr(rules, "\nDisallow: "))) {
		rules += strlen("\nDisallow: ");
		size_t n = strcspn(rules, "\r\n");
		if (n && !strncmp(rules, path, n))
			return false;
	}
	return true;
}

/* ---- all pages ---------------------------------------------------------------------------------
 */

static int fetch(void *arg);

/* A page becomes a task, the first time somebody leads to it. */
static void find(const char *path, size_t n)
{
	char *mine = NULL;

	if (n >= PATH)
		return;
	gh_mutex_lock(&lock);
	int i = 0;
	while (i < known && (strncmp(found[i], path, n) || found[i][n]))
		i++;
	if (i == known && known < most) {
		mine = found[known++];
		memcpy(mine, path, n);
		mine[n] = '\0';
	}
	gh_mutex_unlock(&lock);
	/* -ECANCELED: the group takes no more members. */
	if (mine && gh_group_spawn(pages, fetch, mine, NULL) < 0) {
		gh_mutex_lock(&lock);
		failed++;
		gh_mutex_unlock(&lock);
	}
}

static void follow(const char *answer)
{
	while ((answer = strstr(answer, "href=\"/"))) {
		answer += strlen("href=\"");
		find(answer, strcspn(answer, "\"#?"));
	}
}

/* A member of the group: one page. */
static int fetch(void *arg)
{
	const char *path = arg;
	char *answer = NULL;
	void *rules;
	int64_t n;

	if ((n = gh_await(robots, &rules)) == 0 && !allowed(rules, path)) {
		printf("%s: not allowed\n", path);
		return 0;
	}
	if (n == 0 && (n = gh_sem_wait(&connections)) == 0) {
		answer = malloc(PAGE); /* only who is served has a buffer */
		n = answer ? get(path, answer, PAGE) : -ENOMEM;
		gh_sem_post(&connections);
	}
	bool good = n >= 0 && status_of(answer) == 200;
	gh_mutex_lock(&lock);
	fetched += good;
	failed += !good;
	gh_mutex_unlock(&lock);
	if (n < 0)
		printf("%s: %s\n", path,
		       strerror(n == -ECANCELED ? -gh_task_cancelled() : (int)-n));
	else
		printf("%s: %d, %lld bytes\n", path, status_of(answer), (long long)n);
	if (good)
		follow(answer);
	free(answer);
	return 0; /* one page's failure is not the crawl's */
}

/* The task that all others descend from. */
static void *crawl(void *path)
{
	void *rules = NULL;

	gh_task_set_deadline(gh_task_self(), until);
	pages = gh_group_new(NULL, 0);
	robots = gh_async(fetch_robots, NULL);
	if (!pages || !robots)
		return (void *)(intptr_t)1;
	find(path, strlen(path));
	gh_group_wait(pages); /* also after the deadline: no member is left behind */
	gh_group_free(pages);

	gh_task_shield(); /* the future is to be waited for even now; it has the same deadline */
	gh_await(robots, &rules);
	gh_task_unshield();
	free(rules);
	gh_future_unref(robots);
	return (void *)(intptr_t)(gh_task_cancelled() ? 3 : failed ? 2 : 0);
}

int main(int argc, char **argv)
{
	void *status = (void *)(intptr_t)1;

	if (argc < 4 || strlen(argv[3]) >= PATH) {
		fprintf(stderr, "Usage: crawl HOST PORT PATH [PAGES [AT-ONCE [SECONDS]]]\n");
		return 1;
	}
	host = argv[1];
	port = atoi(argv[2]);
	if (argc > 4 && atoi(argv[4]) > 0)
		most = atoi(argv[4]);
	if (argc > 5 && atoi(argv[5]) > 0)
		at_once = atoi(argv[5]);
	until = argc > 6 ? gh_after(GH_S(atoi(argv[6]))) : GH_FOREVER;
	found = calloc((size_t)most, sizeof(*found));
	gh_sem_init(&connections, at_once);
	gh_task *t = found ? gh_task_spawn(crawl, argv[3], NULL) : NULL;
	if (!t || gh_task_join(t, &status) < 0)
		fprintf(stderr, "crawl: no memory\n");
	printf("fetched %d, failed %d\n", fetched, failed);
	free(found);
	return (int)(intptr_t)status;
}
