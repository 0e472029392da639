/* Runs the libcheck suites of test_*.c, in the order in which the modules build on each other.
 *
 * Owns: the list of suites.  CK_RUN_SUITE, CK_RUN_CASE and CK_FORK select, as `make unit T= CASE=
 * FORK=` sets them.  Must not know: what a suite tests.
 */
#include <stdio.h>

#include "tests/helpers.h"

static Suite *(*const suites[])(void) = {
    suite_config,
    suite_report,
    suite_ctx,
    suite_stack,
    suite_tls,
    suite_ring,
    suite_park,
    suite_timer,
    suite_poller,
    suite_fdtab,
    suite_lot,
    suite_lot_queue,
    suite_mutex,
    suite_cond,
    suite_rwlock,
    suite_sem,
    suite_once,
    suite_monitor,
    suite_detour,
    suite_hooks,
    suite_native_mutex,
    suite_native_sync,
    suite_native_sync_ends,
    suite_native_chan,
    suite_native_chan_ends,
    suite_native_select,
    suite_native_net,
    suite_native_file,
    suite_native_module,
    suite_native_error,
    suite_native_memory,
    suite_native_timer,
    suite_disk,
    suite_native_send,
    suite_native_late,
    suite_turns,
    suite_trace,
    suite_native_cancel,
    suite_native_refused,
    suite_native_times,
    suite_native_sched,
    suite_native_base,
    suite_native_task,
    suite_native_task_opts,
    suite_native_task_ends,
    suite_native_group,
    suite_native_future,
};

int main(void)
{
	SRunner *runner = srunner_create(NULL);

	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		srunner_add_suite(runner, suites[i]());
	srunner_run_all(runner, CK_ENV);
	int run = srunner_ntests_run(runner), failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (run == 0)
		fprintf(stderr, "no suite or case of that name\n");
	return run == 0 || failed != 0;
}
