/* doctor.c: will this program run green, and if not, why?  Owns the judgement and the words for it;
 * what the file contains comes from elf.c.  `greenhook doctor` prints the diagnosis, `greenhook
 * run` acts on it.
 *
 * A library can be preloaded only when glibc's loader starts the program and honours LD_PRELOAD,
 * and it helps only when the program's threads and calls go through libc.  A script is judged by
 * the program that ends up interpreting it, since LD_PRELOAD is inherited along the way.
 *
 * Set-id bits and file capabilities count even where the kernel would ignore them (the owner
 * runs it, a nosuid mount): the answer should not depend on who asks.
 */
#include "preload/cli.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPT_LEVELS_MAX 4 /* the kernel gives up at the fifth as well */

__attribute__((format(printf, 3, 4))) static void
conclude(struct diagnosis *diagnosis, enum outlook outlook, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	diagnosis->outlook = outlook;
	vsnprintf(diagnosis->reason, sizeof(diagnosis->reason), format, args);
	va_end(args);
}

static const char *machine_name(unsigned machine)
{
	switch (machine) {
	case EM_386:
		return "i386";
	case EM_X86_64:
		return "x86-64";
	case EM_ARM:
		return "ARM";
	case EM_AARCH64:
		return "AArch64";
	case EM_RISCV:
		return "RISC-V";
	case EM_PPC64:
		return "PowerPC64";
	case EM_S390:
		return "S/390";
	}
	return "another machine";
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* glibc's loaders: ld-linux*.so.N, ld-lsb*.so.N, ld64.so.N, ld.so.N, depending on the machine. */
static bool is_glibc_loader(const char *name)
{
	return starts_with(name, "ld-linux") || starts_with(name, "ld-lsb") ||
	       starts_with(name, "ld64.so") || starts_with(name, "ld.so");
}

/* ELF files without PT_INTERP: nothing will read LD_PRELOAD, except in glibc's loader itself. */
static void judge_without_loader(struct diagnosis *d)
{
	const struct elf_facts *f = &d->facts;
	if (is_glibc_loader(f->soname))
		conclude(d, OUTLOOK_GREEN, "%s", "");
	else if (f->is_go)
		conclude(
		    d, OUTLOOK_NATIVE,
		    "Go program, statically linked (no PT_INTERP): there is no loader to preload "
		    "a library, and Go makes its threads and system calls itself");
	else if (f->type == ET_DYN && f->soname[0] && !f->is_pie)
		conclude(d, OUTLOOK_NATIVE, "a shared library, not a program");
	else
		conclude(d, OUTLOOK_NATIVE,
			 "%s (no PT_INTERP): there is no loader to preload a library",
			 f->type == ET_DYN ? "static-pie" : "statically linked");
}

static void judge_native_elf(struct diagnosis *d, int fd, const struct stat *st)
{
	const struct elf_facts *f = &d->facts;
	const char *loader = path_base(f->interp);
	if (f->type != ET_EXEC && f->type != ET_DYN)
		conclude(d, OUTLOOK_NATIVE, "not an executable ELF file (%s)",
			 f->type == ET_REL    ? "an object file"
			 : f->type == ET_CORE ? "a core dump"
					      : "unknown type");
	else if (st->st_mode & S_ISUID)
		conclude(d, OUTLOOK_NATIVE, "setuid program: the loader ignores LD_PRELOAD for it");
	else if ((st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP))
		conclude(d, OUTLOOK_NATIVE, "setgid program: the loader ignores LD_PRELOAD for it");
	else if (fgetxattr(fd, "security.capability", NULL, 0) > 0)
		conclude(d, OUTLOOK_NATIVE,
			 "program with file capabilities: the loader ignores LD_PRELOAD for it");
	else if (!f->has_interp)
		judge_without_loader(d);
	else if (starts_with(loader, "ld-musl"))
		conclude(d, OUTLOOK_NATIVE,
			 "linked against musl (loader %s), greenhook needs glibc", f->interp);
	else if (!is_glibc_loader(loader))
		conclude(d, OUTLOOK_NATIVE, "its loader %s is not glibc's", f->interp);
	else if (access(f->interp, X_OK) < 0)
		conclude(d, OUTLOOK_NATIVE, "its loader %s cannot be used: %s", f->interp,
			 strerror(errno));
	else if (f->is_go && !f->imports_threads)
		conclude(d, OUTLOOK_NATIVE,
			 "Go program without cgo: Go makes its threads and system calls itself");
	else if (f->is_go)
		conclude(d, OUTLOOK_NATIVE,
			 "Go program with cgo: Go sets signal stacks and masks of kernel threads "
			 "without libc");
	else
		conclude(d, OUTLOOK_GREEN, "%s", "");
}

static void judge(struct diagnosis *d, int fd, const struct stat *st)
{
	const struct elf_facts *f = &d->facts;
	switch (f->form) {
	case ELF_FORM_OTHER:
		conclude(d, OUTLOOK_NATIVE, "%s",
			 st->st_size ? "not an ELF program or a #! script" : "an empty file");
		break;
	case ELF_FORM_DAMAGED:
		conclude(d, OUTLOOK_NATIVE, "damaged ELF file: %s", f->damage);
		break;
	case ELF_FORM_FOREIGN:
		if (f->byte_order == ELFDATA2LSB && f->elf_class == ELFCLASS32)
			conclude(d, OUTLOOK_NATIVE,
				 "wrong ELF class: 32-bit %s, this greenhook is 64-bit",
				 machine_name(f->machine));
		else
			conclude(d, OUTLOOK_NATIVE,
				 "wrong machine: built for %s, not for this processor",
				 machine_name(f->machine));
		break;
	case ELF_FORM_NATIVE:
		judge_native_elf(d, fd, st);
		break;
	case ELF_FORM_SCRIPT: /* followed by the caller */
		break;
	}
}

/* What `env` would look up: the first word that is neither an option nor an assignment. */
static char *env_program(char *arguments)
{
	char *rest = arguments, *word;
	while ((word = strtok_r(NULL, " \t", &rest)))
		if (word[0] != '-' && !strchr(word, '='))
			break;
	return word;
}

/* Finds who interprets the script, following /usr/bin/env; extends the chain.  False, with the
 * outlook set, when that cannot be known. */
static bool find_interpreter(struct diagnosis *d, char ret_path[PATH_MAX])
{
	char *rest = d->facts.shebang;
	char *name = strtok_r(NULL, " \t", &rest);
	int err = name ? path_find_try(name, ret_path) : -ENOENT;
	if (name && !strchr(name, '/') && !err)
		err = -ENOENT; /* the kernel does not search PATH */
	if (!err && strcmp(path_base(name), "env") == 0) {
		size_t used = strlen(d->chain);
		snprintf(d->chain + used, sizeof(d->chain) - used, " -> %s", name);
		name = env_program(rest);
		err = name ? path_find_try(name, ret_path) : -ENOENT;
	}
	if (err) {
		conclude(d, OUTLOOK_NATIVE, "script whose interpreter %s cannot be used: %s",
			 name ? name : "(none named)", strerror(-err));
		return false;
	}
	size_t used = strlen(d->chain);
	snprintf(d->chain + used, sizeof(d->chain) - used, " -> %s", ret_path);
	return true;
}

void doctor_examine(const char *path, struct diagnosis *d)
{
	char current[PATH_MAX];
	snprintf(current, sizeof(current), "%s", path);
	memset(d, 0, sizeof(*d));
	for (int level = 0;; level++) {
		struct stat st;
		int fd = open(current, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		int err = fd < 0 || fstat(fd, &st) < 0 ? -errno : elf_read(fd, &d->facts);
		if (err)
			conclude(d, OUTLOOK_UNKNOWN, "cannot be read: %s", strerror(-err));
		else
			judge(d, fd, &st);
		if (fd >= 0)
			close(fd);
		if (err || d->facts.form != ELF_FORM_SCRIPT)
			break;
		if (level == SCRIPT_LEVELS_MAX) {
			conclude(d, OUTLOOK_NATIVE, "more than %d levels of #! scripts",
				 SCRIPT_LEVELS_MAX);
			return;
		}
		if (level == 0)
			snprintf(d->chain, sizeof(d->chain), "script");
		if (!find_interpreter(d, current))
			return;
	}
	if (d->chain[0] && d->reason[0]) {
		char inner[sizeof(d->reason)];
		memcpy(inner, d->reason, sizeof(inner));
		conclude(d, d->outlook, "script run by %s: %s", current, inner);
	}
}

static void print_facts(const struct diagnosis *d)
{
	const struct elf_facts *f = &d->facts;
	if (d->chain[0])
		printf("  %s\n", d->chain);
	if (f->form != ELF_FORM_NATIVE)
		return;
	if (f->has_interp)
		printf("  loader: %s\n", f->interp);
	else if (is_glibc_loader(f->soname))
		printf("  this is the loader itself: the program it is given decides\n");
	if (f->has_interp)
		printf("  imports pthread_create: %s\n",
		       f->imports_threads ? "yes" : "no (a library it loads may)");
	if (f->sanitizer[0])
		printf("  a sanitizer's runtime comes first in LD_PRELOAD: %s\n", f->sanitizer);
	if (d->outlook == OUTLOOK_GREEN)
		libc_calls_print();
}

int doctor_main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		usage_print_help();
		return 0;
	}
	int first = 1;
	if (argc > 1 && strcmp(argv[1], "--") == 0)
		first = 2;
	else if (argc > 1 && argv[1][0] == '-')
		return usage_error("doctor: unknown option '%s'", argv[1]);
	if (first >= argc)
		return usage_error("doctor: no program given");
	if (first + 1 < argc)
		return usage_error("doctor: unexpected argument '%s'", argv[first + 1]);

	char path[PATH_MAX];
	int code = path_find(argv[first], path);
	if (code)
		return code;
	static struct diagnosis d;
	doctor_examine(path, &d);
	switch (d.outlook) {
	case OUTLOOK_GREEN:
		printf("%s: will run green\n", argv[first]);
		break;
	case OUTLOOK_NATIVE:
		printf("%s: will not run green: %s\n", argv[first], d.reason);
		break;
	case OUTLOOK_UNKNOWN:
		printf("%s: cannot tell: %s\n", argv[first], d.reason);
		break;
	}
	print_facts(&d);
	return d.outlook == OUTLOOK_GREEN ? 0 : EXIT_NOT_GREEN;
}
