/* Writing to a peer; see answer.h. */
#include <sys/socket.h>

#include "src/answer.h"
#include "src/base/clock.h"
#include "src/base/report.h"

static void send_all(struct ghi_answer *a, const char *p, size_t n)
{
	while (n && !a->failed) {
		long sent = ghi_sys(SYS_sendto, a->fd, p, n, MSG_NOSIGNAL, NULL, 0);
		if (sent == -EINTR)
			continue;
		if (sent <= 0 || ghi_now() > a->until) {
			a->failed = true;
			return;
		}
		p += sent;
		n -= (size_t)sent;
	}
}

void ghi_answer_flush(struct ghi_answer *a)
{
	send_all(a, a->buf, a->len);
	a->len = 0;
}

void ghi_answer_bytes(struct ghi_answer *a, const char *p, size_t n)
{
	ghi_answer_flush(a);
	send_all(a, p, n);
}

void ghi_answer_put(struct ghi_answer *a, const char *fmt, ...)
{
	va_list ap;
	if (sizeof(a->buf) - a->len < 1024)
		ghi_answer_flush(a);
	va_start(ap, fmt);
	a->len += ghi_vformat(a->buf + a->len, sizeof(a->buf) - a->len, fmt, ap);
	va_end(ap);
}

void ghi_answer_field(struct ghi_answer *a, const char *text, size_t max)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; n < max && text[n]; n++) {
		unsigned char c = (unsigned char)text[n];
		if (sizeof(a->buf) - a->len < 16)
			ghi_answer_flush(a);
		if (c > ' ' && c < 127 && c != '%' && (c != '-' || n)) {
			a->buf[a->len++] = (char)c;
			continue;
		}
		a->buf[a->len++] = '%';
		a->buf[a->len++] = hex[c >> 4];
		a->buf[a->len++] = hex[c & 15];
	}
	if (!n)
		ghi_answer_put(a, "-");
}
