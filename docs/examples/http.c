/* An HTTP/1.1 server: keep-alive, pipelining, limits, and an end that loses no request.
 *
 *   cc -O2 http.c -o http $(pkg-config --cflags --libs greenhook)
 *   ./http 8080 &
 *   curl -i localhost:8080/                     also /slow, and what is sent to /echo
 *   curl -i --data-binary @http.c localhost:8080/echo
 *   kill %1                                     ends it: see the end of http_server.h
 *
 * Usage: http [PORT [SECONDS]]; port 0, the default, is any free one; SECONDS, default 10, is how
 * long a client may take for the head of a request, for each piece of a body, and for each piece
 * of an answer.  One that asks nothing is kept for six times as long.
 *
 * One task per connection, plain blocking code: http_server.h takes connections, http_request.h
 * reads requests, http.h writes answers.  Here is what is served.
 */
#include "http_server.h"

static void serve(struct http *c, struct http_request *r, const char *body, size_t n)
{
	size_t path = strcspn(r->target, "?");
	bool gets = r->head || !strcmp(r->method, "GET");

	if (!http_is_known(r->method)) {
		http_say(c, r, 501, "");
		return;
	}
	if (path == 1 && *r->target == '/') {
		if (gets)
			http_answer(c, r, 200, "text/plain", "", "hello, world\n", 13);
		else
			http_say(c, r, 405, "Allow: GET, HEAD\r\n");
	} else if (path == 5 && !strncmp(r->target, "/slow", path)) {
		if (gets) {
			http_flush(c);
			gh_sleep(GH_S(1)); /* a database, say */
			http_answer(c, r, 200, "text/plain", "", "at last\n", 8);
		} else {
			http_say(c, r, 405, "Allow: GET, HEAD\r\n");
		}
	} else if (path == 5 && !strncmp(r->target, "/echo", path)) {
		if (!strcmp(r->method, "POST") || !strcmp(r->method, "PUT"))
			http_answer(c, r, 200, "application/octet-stream", "", body, n);
		else
			http_say(c, r, 405, "Allow: POST, PUT\r\n");
	} else {
		http_say(c, r, 404, "");
	}
}

int main(int argc, char **argv)
{
	return http_server_run(serve, argc > 1 ? argv[1] : NULL, argc > 2 ? argv[2] : NULL);
}
