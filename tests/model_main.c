/* Runs all models, then all mutants of each: a model must hold, a mutant must be caught.
 *
 *   models                       everything
 *   models park                  one model (by the beginning of its name) and its mutants
 *   models park "P5 skipped"     one mutant, with the interleaving that catches it
 *
 * With DEEP set in the environment, one more late load per execution: minutes instead of seconds.
 *
 * Owns: the list of models and the report.  Called by: `make unit`.  Must not know: any protocol.
 */
#include "tests/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct model *const all[] = {&model_park,	 &model_runq_2,	 &model_runq_4,
					  &model_worker, &model_handoff, &model_chan,
					  &model_pinned, &model_bell, &model_start};
static const char *const machines[] = {[MODEL_TSO] = "x86", [MODEL_WEAK] = "weak"};
static int passed, failed, deeper;

static void count(bool ok)
{
	*(ok ? &passed : &failed) += 1;
}

static void check_model(const struct model *model)
{
	for (int machine = MODEL_TSO; machine <= MODEL_WEAK; machine++) {
		struct model_result r;
		model_explore(model, NULL, machine, model->preemptions, model->late + deeper, true,
			      &r);
		printf("model %-16s %-4s  %8llu executions  depth %3d  %5.2f s  %s\n", model->name,
		       machines[machine], (unsigned long long)r.executions, r.depth, r.seconds,
		       r.failed ? r.why : "ok");
		fflush(stdout);
		count(!r.failed);
	}
}

/* With few preemptions first, so that the interleaving found is a short one. */
static void check_mutant(const struct model *model, const struct model_mutant *mutant, bool print)
{
	struct model_result r = {.failed = false};
	unsigned long long executions = 0;

	for (int preemptions = 0; preemptions <= model->preemptions && !r.failed; preemptions++) {
		model_explore(model, mutant, MODEL_WEAK, preemptions, model->late, print, &r);
		executions += r.executions;
	}
	printf("  mutant %-28s %s after %llu executions%s%s\n", mutant->name,
	       r.failed ? "caught" : "NOT CAUGHT", executions, r.failed ? ": " : "", r.why);
	fflush(stdout);
	count(r.failed);
}

int main(int argc, char **argv)
{
	deeper = getenv("DEEP") != NULL;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const char *only = argc > 2 ? argv[2] : NULL;
		if (argc > 1 && strncmp(all[i]->name, argv[1], strlen(argv[1])) != 0)
			continue;
		if (!only)
			check_model(all[i]);
		for (const struct model_mutant *mu = all[i]->mutants; mu->name; mu++)
			if (!only || strcmp(only, mu->name) == 0)
				check_mutant(all[i], mu, only != NULL);
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed || !passed;
}
