/* fields.c: the lines that a process answers: fields separated by tabs, bytes that are not plain
 * written as %XX, "-" for nothing (src/answer.h). */
#include "preload/cli.h"

#include <ctype.h>

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void decode(char *p)
{
	char *to = p;
	if (!strcmp(p, "-")) {
		*p = 0;
		return;
	}
	for (; *p; p++) {
		if (*p == '%' && digit(p[1]) >= 0 && digit(p[2]) >= 0) {
			*to++ = (char)(digit(p[1]) << 4 | digit(p[2]));
			p += 2;
		} else {
			*to++ = *p;
		}
	}
	*to = 0;
}

int fields_split(char *line, char **ret, int max)
{
	int n = 0;
	line[strcspn(line, "\n")] = 0;
	while (line && n < max) {
		ret[n] = line;
		char *tab = strchr(line, '\t');
		if (tab)
			*tab++ = 0;
		line = tab;
		decode(ret[n++]);
	}
	return n;
}

void fields_print(FILE *f, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		putc(*p < ' ' || *p == 0x7f ? '?' : *p, f);
}
