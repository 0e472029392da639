/* The macros of the headers, compiled as C and as C++. */
#include <greenhook.h>

typedef struct point {
	int x, y;
} point;
GH_CHAN_DEFINE(points, point);

int main(void)
{
	points c = points_new(1);
	gh_mutex plain = GH_MUTEX_INIT, checked = GH_MUTEX_CHECKED_INIT,
		 again = GH_MUTEX_RECURSIVE_INIT;
	gh_cond cond = GH_COND_INIT;
	gh_rwlock l = GH_RWLOCK_INIT;
	gh_sem s = GH_SEM_INIT(2);
	gh_event manual = GH_EVENT_INIT, automatic = GH_EVENT_AUTO_INIT;
	gh_once once = GH_ONCE_INIT;
	gh_wg wg = GH_WG_INIT;
	gh_proc_opts o = GH_PROC_OPTS_INIT;
	point p = {1, 2}, q = {0, 0};
	const point k = {3, 4};

	if (gh_mutex_lock(&plain) || gh_mutex_lock(&checked) || gh_mutex_lock(&checked) == 0 ||
	    gh_mutex_lock(&again) || gh_mutex_lock(&again))
		return 1;
	if (gh_cond_signal(&cond) || gh_rwlock_rdlock(&l) || gh_sem_wait(&s) ||
	    gh_event_set(&automatic) || gh_event_wait_try(&manual) == 0 ||
	    gh_once_do(&once, 0, 0) == 0 || gh_wg_wait(&wg) || o.in != -1)
		return 2;
	if (points_send(c, p) || points_recv(c, &q) || q.y != 2)
		return 3;
	gh_case out[] = {GH_SEND(c.chan, &k), GH_AT(GH_FOREVER), GH_READABLE(-1), GH_WRITABLE(-1)};
	if (gh_select(out, 4) != 0)
		return 4;
	gh_case in[] = {GH_RECV(c.chan, &q)};
	if (gh_select(in, 1) != 0 || q.x != 3 || points_close(c))
		return 5;
	points_unref(c);
	return 0;
}
