/* Four producers and four consumers over one small bounded queue: an order-independent hash of
 * everything consumed shows that each item arrived exactly once. */
#include "check.h"

#define SLOTS 16
#define ITEMS 20000 /* per producer */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static uint64_t queue[SLOTS];
static unsigned head, tail;

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static void put(uint64_t item)
{
	pthread_mutex_lock(&mutex);
	while (head - tail == SLOTS)
		pthread_cond_wait(&not_full, &mutex);
	queue[head++ % SLOTS] = item;
	pthread_cond_signal(&not_empty);
	pthread_mutex_unlock(&mutex);
}

static void *produce(void *arg)
{
	for (uint64_t i = 1; i <= ITEMS; i++)
		put((uint64_t)(uintptr_t)arg * 1000000 + i);
	return NULL;
}

struct total {
	uint64_t hash, count;
};

static void *consume(void *arg)
{
	struct total *total = arg;
	for (;;) {
		pthread_mutex_lock(&mutex);
		while (head == tail)
			pthread_cond_wait(&not_empty, &mutex);
		uint64_t item = queue[tail++ % SLOTS];
		pthread_cond_signal(&not_full);
		pthread_mutex_unlock(&mutex);
		if (item == 0)
			return NULL;
		total->hash += mix(item);
		total->count++;
	}
}

int main(void)
{
	pthread_t producers[4], consumers[4];
	struct total totals[4] = {{0, 0}};
	uint64_t hash = 0, count = 0;
	for (int i = 0; i < 4; i++)
		consumers[i] = spawn(consume, &totals[i]);
	for (intptr_t i = 0; i < 4; i++)
		producers[i] = spawn(produce, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		join(producers[i]);
	for (int i = 0; i < 4; i++)
		put(0);
	for (int i = 0; i < 4; i++) {
		join(consumers[i]);
		hash += totals[i].hash;
		count += totals[i].count;
	}
	printf("%llu items, hash %016llx\n", (unsigned long long)count, (unsigned long long)hash);
	return check_done();
}
