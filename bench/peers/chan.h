/* A channel out of the peer's mutex and condition variables, for those that bring none. */
#ifndef BENCH_PEERS_CHAN_H
#define BENCH_PEERS_CHAN_H

struct chan {
	struct lock lock;
	struct cond room, item, taken;
	long values[64], first, count, capacity, received;
};

static void chan_init(struct chan *c, long capacity)
{
	lock_init(&c->lock);
	cond_init(&c->room), cond_init(&c->item), cond_init(&c->taken);
	c->first = c->count = c->received = 0;
	c->capacity = capacity;
}

/* Without places the sender puts its value into the only one and waits until it was taken. */
static void chan_send(struct chan *c, long value)
{
	long places = c->capacity ? c->capacity : 1;

	lock_take(&c->lock);
	while (c->count == places)
		cond_wait(&c->room, &c->lock);
	c->values[(c->first + c->count++) % places] = value;
	long mine = c->received + c->count;
	cond_signal(&c->item);
	while (!c->capacity && c->received < mine)
		cond_wait(&c->taken, &c->lock);
	lock_give(&c->lock);
}

static long chan_recv(struct chan *c)
{
	lock_take(&c->lock);
	while (!c->count)
		cond_wait(&c->item, &c->lock);
	long value = c->values[c->first];
	c->first = (c->first + 1) % (c->capacity ? c->capacity : 1);
	c->count--, c->received++;
	cond_signal(&c->room);
	if (!c->capacity)
		cond_broadcast(&c->taken);
	lock_give(&c->lock);
	return value;
}

#endif
