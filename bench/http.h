/* What the servers of this folder answer: GET /anything gives "you asked for /anything\n", so that
 * a client can tell its own answer from anybody else's. */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { REQUEST_MAX_BYTES = 4096, RESPONSE_MAX_BYTES = 2048 };

static const char http_too_large[] =
    "HTTP/1.1 431 Header Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/* Value of a header field inside the zero-terminated head, or NULL. */
static const char *http_header(const char *head, const char *name)
{
	size_t len = strlen(name);
	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " \t");
	}
	return NULL;
}

/* The answer to one request whose head is zero-terminated; its length. *ret_keep: the connection
 * stays open. */
static size_t http_answer(const char *head, char response[RESPONSE_MAX_BYTES], bool *ret_keep)
{
	static const char prefix[] = "you asked for ";
	char path[1024], version[16];
	*ret_keep = false;
	if (sscanf(head, "GET %1023s HTTP/%15[0-9.]", path, version) != 2)
		return (size_t)snprintf(
		    response, RESPONSE_MAX_BYTES,
		    "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	const char *connection = http_header(head, "Connection");
	*ret_keep =
	    connection ? strncasecmp(connection, "close", 5) != 0 : strcmp(version, "1.1") == 0;
	return (size_t)snprintf(
	    response, RESPONSE_MAX_BYTES,
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s%s\n",
	    sizeof prefix - 1 + strlen(path) + 1, *ret_keep ? "" : "Connection: close\r\n", prefix,
	    path);
}

#endif
