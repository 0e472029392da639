/* Parses the option table; see config.h.  Uses no libc service that could allocate or be hooked. */
#include <string.h>

#include "src/base/config.h"
#include "src/base/report.h"
#include "src/base/sys.h"

struct ghi_config ghi_config = {
#define OPT(field, var, def, min, max, help) .field = def,
#include "src/base/config.def"
#undef OPT
};

char ghi_report_path[4096];

/* A decimal number with an optional K, M or G; false when the text is anything else. */
static int parse_number(const char *s, uint64_t *ret)
{
	uint64_t v = 0;
	if (*s < '0' || *s > '9')
		return 0;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return 0;
	unsigned shift = 0;
	if (*s == 'K' || *s == 'k')
		shift = 10;
	else if (*s == 'M' || *s == 'm')
		shift = 20;
	else if (*s == 'G' || *s == 'g')
		shift = 30;
	if (shift)
		s++;
	if (*s || (shift && v > UINT64_MAX >> shift))
		return 0;
	*ret = v << shift;
	return 1;
}

const char *ghi_config_lookup(char **envp, const char *name)
{
	size_t n = strlen(name);
	for (; envp && *envp; envp++)
		if (!strncmp(*envp, name, n) && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

/* A file's name, which must mean the same after a chdir. */
static void report_to(const char *name)
{
	char dir[sizeof(ghi_report_path)] = "";
	if (*name != '/' && ghi_sys(SYS_getcwd, dir, sizeof(dir)) < 0)
		dir[0] = 0;
	ghi_format(ghi_report_path, sizeof(ghi_report_path), "%s%s%s", dir, *dir ? "/" : "", name);
	ghi_config.report = 1;
}

static void load_one(char **envp, const char *var, uint64_t *field, uint64_t min, uint64_t max)
{
	const char *text = ghi_config_lookup(envp, var);
	uint64_t v;
	if (!text || !*text)
		return;
	if (field == &ghi_config.report && (*text < '0' || *text > '9')) {
		report_to(text);
		return;
	}
	/* The one option that is a choice of words: their order is that of stack.c. */
	static const char *const guards[] = {"auto", "madvise", "mprotect", "none"};
	for (unsigned i = 0; field == &ghi_config.guard && i < 4; i++)
		if (!strcmp(text, guards[i])) {
			*field = i;
			return;
		}
	if (parse_number(text, &v) && v >= min && v <= max)
		*field = v;
	else
		ghi_say("%s=%s is not a number from %lu to %lu; using the default %lu", var, text,
			min, max, *field);
}

void ghi_config_load(char **envp)
{
#define OPT(field, var, def, min, max, help) load_one(envp, var, &ghi_config.field, min, max);
#include "src/base/config.def"
#undef OPT
}
