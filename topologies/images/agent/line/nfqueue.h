/* The kernel's end: NFQUEUE over netlink, and a raw socket for copies. See nfqueue.c. */

#ifndef NFQUEUE_H
#define NFQUEUE_H

#include "queue.h"

/* CLOCK_MONOTONIC. */
int64_t kernel_now_ns(void);

/* Open the sockets; false with `kernel_error` when the kernel refuses. */
bool kernel_open(void);
const char *kernel_error(void);
int kernel_file(void);

/* Make a queue, give it up, and say what it hands over: each waits for the kernel's answer. */
bool kernel_bind(const struct queue *queue);
bool kernel_unbind(const struct queue *queue);
bool kernel_configure(const struct queue *queue);

/* Take in the packets that have come. */
void kernel_read(void);

#endif
