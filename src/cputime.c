/* CPU time of gthreads; see cputime.h. */
#include "src/cputime.h"

uint32_t ghi_cputime_exact;

uint64_t ghi_cputime_of_tid(int tid)
{
	struct timespec ts = {0};
	clockid_t clock = (clockid_t)((~(unsigned)tid << 3) | 6); /* CPUCLOCK_SCHED, per thread */
	ghi_sys(SYS_clock_gettime, clock, &ts);
	return ghi_ts_to_ns(&ts);
}

static uint64_t mine(void)
{
	struct timespec ts = {0};
	ghi_sys(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, &ts);
	return ghi_ts_to_ns(&ts);
}

void ghi_cputime_charge(struct ghi_worker *w, struct ghi_gthread *ran)
{
	uint64_t now = mine(), from = xchg_acq_rel(&w->cpu_mark, now);
	if (now > from) /* the monitor may have been later */
		fetch_add_relaxed(&ran->cpu_ns, now - from);
}

void ghi_cputime_sample(struct ghi_worker *w, struct ghi_gthread *runs, uint64_t cpu)
{
	uint64_t from = load_relaxed(&w->cpu_mark);
	if (runs && cpu > from && !(load_relaxed(&ghi_cputime_exact) & GHI_SWITCH_CHARGED) &&
	    cas_acq_rel(&w->cpu_mark, &from, cpu))
		fetch_add_relaxed(&runs->cpu_ns, cpu - from);
}

uint64_t ghi_cputime_of(struct ghi_gthread *self, struct ghi_gthread *g)
{
	fetch_or_acq_rel(&ghi_cputime_exact, (uint32_t)GHI_SWITCH_CHARGED);
	if (g == self) {
		ghi_nosig_enter();
		ghi_cputime_charge(self->worker, self);
		ghi_nosig_leave();
		return load_relaxed(&self->cpu_ns);
	}
	for (int tries = 0; tries < 8; tries++) {
		uint64_t sum = load_acquire(&g->cpu_ns), mark = 0, now = 0;
		struct ghi_worker *w = ghi_worker_all();
		while (w && load_acquire(&w->current) != g)
			w = w->all_next;
		if (w) {
			mark = load_acquire(&w->cpu_mark);
			now = ghi_cputime_of_tid(w->tid);
		}
		/* The same sum before and after: nobody charged it meanwhile. */
		if (load_acquire(&g->cpu_ns) == sum && (!w || load_acquire(&w->current) == g))
			return now > mark ? sum + now - mark : sum;
	}
	return load_relaxed(&g->cpu_ns);
}
