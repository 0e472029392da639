/* json.c: writes JSON, strictly: what is not UTF-8 becomes U+FFFD, control characters are escaped.
 */
#include "preload/cli.h"

#include <stdio.h>

/* Length of the well-formed UTF-8 sequence at p (RFC 3629), 0: none. */
static int sequence(const unsigned char *p)
{
	static const unsigned char low[] = {0x80, 0xa0, 0x90};
	int n = *p < 0x80		  ? 1
		: *p >= 0xc2 && *p < 0xe0 ? 2
		: *p >= 0xe0 && *p < 0xf0 ? 3
		: *p >= 0xf0 && *p < 0xf5 ? 4
					  : 0;
	unsigned char first = *p == 0xe0 ? low[1] : *p == 0xf0 ? low[2] : low[0];
	unsigned char last = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;

	if (n > 1 && (p[1] < first || p[1] > last))
		return 0;
	for (int i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

void json_string(FILE *f, const char *text)
{
	putc('"', f);
	for (const unsigned char *p = (const unsigned char *)text; *p;) {
		int n = sequence(p);
		if (n == 0) {
			fputs("\\ufffd", f);
			p++;
		} else if (n == 1 && (*p < ' ' || *p == 0x7f)) {
			fprintf(f, "\\u%04x", *p++);
		} else if (*p == '"' || *p == '\\') {
			fprintf(f, "\\%c", *p++);
		} else {
			fwrite(p, 1, (size_t)n, f);
			p += n;
		}
	}
	putc('"', f);
}

void json_member(FILE *f, bool *first, const char *name)
{
	if (!*first)
		putc(',', f);
	*first = false;
	json_string(f, name);
	putc(':', f);
}
