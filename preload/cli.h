/* cli.h: what the files of the `greenhook` command share: exit codes, the ELF facts and the
 * diagnosis.
 *
 * The command is an ordinary program: of the runtime it links only what reads libc's code
 * (detour.c), and it exports nothing.  Names carry the file they live in (`elf_*` is elf.c).  Calls
 * go one way: `main → {run, doctor, coverage, report}`, `{run, doctor} → doctor_examine → {path,
 * elf}`.
 */
#ifndef GREENHOOK_CLI_H
#define GREENHOOK_CLI_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define WORKERS_MAX 256

/* Exit codes of the command itself, as env(1) has them; otherwise the program's own. */
enum {
	EXIT_NOT_GREEN = 1,	/* doctor: will run natively */
	EXIT_USAGE = 2,		/* unknown command or option, bad value */
	EXIT_SELF = 125,	/* greenhook itself failed, such as its library is missing */
	EXIT_CANNOT_EXEC = 126, /* the program exists and cannot be executed */
	EXIT_NOT_FOUND = 127,	/* no such program */
};

/* main.c */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void usage_print_help(void);

/* The commands: argv[0] is the command's name. */
int run_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int coverage_main(int argc, char **argv);
int report_main(int argc, char **argv);
int ps_main(int argc, char **argv);
int dump_main(int argc, char **argv);
int stats_main(int argc, char **argv);
int top_main(int argc, char **argv);
int trace_main(int argc, char **argv);

/* ask.c: what a process answers at its control socket.  0, or the exit code after one line that
 * says what to do. */
int ask(long pid, const char *request, FILE **ret_answer);
bool ask_pid(const char *text, long *ret_pid);
/* A connection that does not block.  0, or an errno: ENOENT when there is no socket of that process
 * in this folder, EAGAIN when too many wait for it. */
int ask_dial(const char *folder, long pid, int *ret_fd);

/* ask_all.c: asks each "hello": those of this user, for root of all.  The answer is empty when none
 * came in time; those that have ended meanwhile are left out. */
void ask_all(void (*found)(long pid, char *answer, void *arg), void *arg);

/* answer.c */
/* Sends the request and takes fd; reading has a limit.  NULL and errno. */
FILE *answer_open(long pid, int fd, const char *request);
/* An answer that was empty, or ended too early: says why.  The exit code. */
int ask_failed(long pid, FILE *answer);
/* It did not answer in time: the same. */
int answer_late(long pid);
/* The letter of its state; 'Z' when it has ended. */
char answer_state(long pid);

/* fields.c: lines of fields, separated by tabs. */
/* Splits and decodes line in place; the number of fields. */
int fields_split(char *line, char **ret, int max);
/* For a terminal: what is no printable character becomes '?'. */
void fields_print(FILE *f, const char *text);

/* json.c */
void json_string(FILE *f, const char *text);
void json_member(FILE *f, bool *first, const char *name);

/* symbols.c */
struct symbols *symbols_new(const char *path);
const char *symbols_path(const struct symbols *s);
/* The function at this place of the file, and how far inside; NULL: not known. */
const char *symbols_find(struct symbols *s, long pid, uint64_t at, uint64_t *ret_off);

/* path.c: find `name` the way execvp does.  Returns 0, or the exit code (126, 127) after
 * printing one line about it; ret_path is written only on success. */
int path_find(const char *name, char ret_path[PATH_MAX]);
/* The same search without a message; returns 0 or -errno. */
int path_find_try(const char *name, char ret_path[PATH_MAX]);
const char *path_base(const char *path);

/* libc_calls.c: a line of `doctor` about this system's C library. */
void libc_calls_print(void);

/* elf.c: what one file says about itself. */
enum elf_form {
	ELF_FORM_OTHER,	  /* neither ELF nor a script */
	ELF_FORM_SCRIPT,  /* starts with #! ; `shebang` is the rest of the line */
	ELF_FORM_DAMAGED, /* ELF magic, but truncated or inconsistent; `damage` says where */
	ELF_FORM_FOREIGN, /* ELF of another class, byte order or machine; only these are filled */
	ELF_FORM_NATIVE,  /* ELF this machine's loader would take; all fields are filled */
};

struct elf_facts {
	enum elf_form form;
	const char *damage;
	uint8_t elf_class;
	uint8_t byte_order;
	uint16_t machine;
	uint16_t type;
	bool has_interp;
	bool has_dynamic;
	bool is_pie;	      /* DF_1_PIE */
	bool imports_threads; /* pthread_create or thrd_create is an undefined dynamic symbol */
	bool has_runtime; /* linked with libgreenhook.a: defines what it and libc alone define */
	bool is_go;	  /* carries Go's build information */
	char interp[PATH_MAX]; /* PT_INTERP */
	char soname[64];       /* DT_SONAME, cut short if longer */
	char sanitizer[64];    /* the runtime of one that it needs as a shared library */
	char shebang[256];     /* as much of the line as the kernel reads */
};

/* Reads fd, a regular file.  Never fails on the content: that is what `form` is for.
 * Returns 0, or -errno when the file cannot be read at all. */
int elf_read(int fd, struct elf_facts *ret_facts);

/* doctor.c: will this program run green? */
enum outlook {
	OUTLOOK_GREEN,
	OUTLOOK_NATIVE,	 /* cannot run green; `reason` */
	OUTLOOK_UNKNOWN, /* executable but not readable: try green, nothing is lost */
};

struct diagnosis {
	enum outlook outlook;
	char reason[2 * PATH_MAX];
	char chain[2 * PATH_MAX]; /* "script -> interpreter -> ...", empty for a plain binary */
	struct elf_facts facts;	  /* of the file that is loaded in the end */
};

void doctor_examine(const char *path, struct diagnosis *ret_diagnosis);

#endif
