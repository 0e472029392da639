/* What the tests of modules and their module (handler.c) agree on. */
#ifndef HANDLER_H
#define HANDLER_H

enum { INTERFACE_OF_TESTS = 7 };

struct host {
	void (*pause)(void); /* lets others run, or waits a moment */
	int started, ended;  /* by versions: their starts that succeeded, and their ends */
	int runs;	     /* of run(), to the end */
	int owners;	     /* ends that had a state to free */
	int wrong;
};

struct state {
	int version; /* of the one that made it */
	int handed;  /* times it was handed on */
	int alive;   /* 1; 0 when it was given up */
};

struct calls {
	int version;
	int (*handle)(struct host *h, struct state *s, int n); /* version * 1000 + n */
	void *(*run)(void *host);			       /* for gh_module_go */
};

#endif
