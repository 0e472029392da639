/* Intrusive doubly linked list with a head node; a node out of any list has next == NULL. */
#ifndef GHI_BASE_LIST_H
#define GHI_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ghi_list {
	struct ghi_list *next, *prev;
};

#define ghi_container(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void ghi_list_init(struct ghi_list *head)
{
	head->next = head->prev = head;
}

static inline bool ghi_list_empty(const struct ghi_list *head)
{
	return head->next == head || head->next == NULL;
}

static inline void ghi_list_append(struct ghi_list *head, struct ghi_list *n)
{
	if (!head->next) /* an all-zero head is a valid empty list */
		ghi_list_init(head);
	n->next = head;
	n->prev = head->prev;
	head->prev->next = n;
	head->prev = n;
}

static inline void ghi_list_remove(struct ghi_list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = NULL;
}

#endif
