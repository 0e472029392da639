/* The environment reaches children unchanged: run with a marker variable, prints what a shell
 * started by each means sees of it, and whether LD_PRELOAD equals our own. */
#include "check.h"
#include <sys/wait.h>

static const char *command = "test \"$LD_PRELOAD\" = \"$OWN\" && echo same preload; echo $MARKER";

static void *start(void *arg)
{
	fflush(stdout);
	QUIET(system(command) == 0);
	FILE *f = popen(command, "r");
	char line[100];
	while (fgets(line, sizeof(line), f))
		printf("popen: %s", line);
	pclose(f);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	return NULL;
}

int main(void)
{
	const char *own = getenv("LD_PRELOAD");
	setenv("OWN", own ? own : "", 1);
	join(spawn(start, NULL));
	setenv("MARKER", "changed", 1);
	join(spawn(start, NULL));
	return check_done();
}
