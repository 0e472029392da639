/* Formatting and output for report.h: no allocation, no libc, no locks. */
#include <string.h>

#include "src/base/report.h"
#include "src/base/sys.h"

struct out {
	char *buf;
	size_t size, len;
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void put_number(struct out *o, uint64_t v, unsigned base, unsigned width, char pad, int neg)
{
	char tmp[24];
	unsigned n = 0;
	do
		tmp[n++] = "0123456789abcdef"[v % base];
	while ((v /= base));
	if (neg)
		tmp[n++] = '-';
	for (unsigned i = n; i < width; i++)
		put(o, pad);
	while (n)
		put(o, tmp[--n]);
}

size_t ghi_vformat(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = {buf, size, 0};
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		char pad = ' ';
		unsigned width = 0;
		int is_long = 0;
		if (*++fmt == '0')
			pad = *fmt++;
		while (*fmt >= '0' && *fmt <= '9')
			width = width * 10 + (unsigned)(*fmt++ - '0');
		while (*fmt == 'l' || *fmt == 'z')
			is_long = 1, fmt++;
		switch (*fmt) {
		case 's': {
			const char *s = va_arg(ap, const char *);
			unsigned n = 0;
			for (s = s ? s : "(null)"; *s; s++, n++)
				put(&o, *s);
			for (; n < width; n++)
				put(&o, ' ');
			break;
		}
		case 'd': {
			int64_t v = is_long ? va_arg(ap, int64_t) : va_arg(ap, int);
			put_number(&o, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, width, pad,
				   v < 0);
			break;
		}
		case 'u':
		case 'x': {
			uint64_t v = is_long ? va_arg(ap, uint64_t) : va_arg(ap, unsigned);
			put_number(&o, v, *fmt == 'x' ? 16 : 10, width, pad, 0);
			break;
		}
		case 'p':
			put(&o, '0');
			put(&o, 'x');
			put_number(&o, (uintptr_t)va_arg(ap, void *), 16, width, '0', 0);
			break;
		case 'c':
			put(&o, (char)va_arg(ap, int));
			break;
		default:
			put(&o, *fmt);
		}
	}
	if (size)
		buf[o.len < size ? o.len : size - 1] = 0;
	return o.len < size ? o.len : size - 1;
}

size_t ghi_format(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	size_t n = ghi_vformat(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

static void emit(const char *prefix, const char *fmt, va_list ap, const char *end)
{
	char line[1024];
	size_t n = strlen(prefix);
	memcpy(line, prefix, n);
	n += ghi_vformat(line + n, sizeof(line) - n - 1, fmt, ap);
	if (end)
		line[n++] = *end;
	ghi_sys(SYS_write, 2, line, n);
}

void ghi_say(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	emit("greenhook: ", fmt, ap, "\n");
	va_end(ap);
}

void ghi_print(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	emit("", fmt, ap, NULL);
	va_end(ap);
}

_Noreturn void ghi_panic(const char *file, int line, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	ghi_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	ghi_say("internal error at %s:%d: %s; please report it", file, line, text);
	/* The default action of SIGABRT, whatever handlers or masks exist: a core file to look at.
	 */
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} dfl = {0};
	uint64_t none = 0;
	ghi_sys(SYS_rt_sigaction, SIGABRT, &dfl, NULL, 8);
	sys_sigprocmask(SIG_SETMASK, &none, NULL);
	ghi_sys(SYS_tgkill, sys_getpid(), sys_gettid(), SIGABRT);
	for (;;)
		ghi_sys(SYS_exit_group, 134);
}
