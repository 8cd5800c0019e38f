/* A directed link: its stages and the packets on it, held in the kernel by number. See queue.c. */

#ifndef QUEUE_H
#define QUEUE_H

#include "stage.h"

#include <stddef.h>

#define STAGES_MAX 32

enum copy { COPY_NONE, COPY_HEADER, COPY_ALL };

struct held {
    int64_t due_ns;
    uint32_t id;
    bool corrupt;
    int copies;
    uint32_t bytes;         /* of payload */
    unsigned char *payload; /* own copy, only where it is needed */
};

struct counters {
    uint64_t packets, delayed, dropped, duplicated, reordered, corrupted, refused;
    int64_t late_ns_max;    /* most that a packet left after it was due */
};

struct queue {
    uint16_t number;
    struct stage stages[STAGES_MAX];
    int stage_count;
    enum copy copy;         /* what the kernel hands over of each packet */
    bool whole;             /* large segments stay whole */
    int64_t last_due_ns;    /* of the packets that keep their order */
    struct held *ring;      /* those, oldest first */
    size_t ring_size, ring_first, ring_count;
    struct held *heap;      /* those held back out of order, by when they are due */
    size_t heap_size, heap_count;
    struct counters counters;
    struct queue *next;
};

struct packet {
    uint32_t id;
    uint32_t bytes;         /* on the link */
    const unsigned char *payload;
    uint32_t payload_bytes;
};

/* All queues, and one by number (NULL when there is none). */
extern struct queue *queues;
struct queue *queue_find(uint16_t number);

/* Take in a packet that came now. Lost ones get their verdict at once. */
void queue_take(struct queue *queue, const struct packet *packet, int64_t now_ns);

/* Let go what is due. When the next one is; INT64_MAX when nothing waits. */
int64_t queue_release(struct queue *queue, int64_t now_ns);

/* After a change of stages: what the kernel must hand over, and nobody waits for a stage gone. */
void queue_adapt(struct queue *queue, int64_t now_ns);

/* Add or replace a stage; false when there are too many. */
bool queue_set_stage(struct queue *queue, const struct stage *stage);

/* Remove a stage by name, or with NULL all leased ones; whether one was there. */
bool queue_unset_stage(struct queue *queue, const char *name);

/* What queue.c needs of the kernel (nfqueue.c). Verdicts are collected until `kernel_flush`. */
void kernel_accept_up_to(const struct queue *queue, uint32_t id); /* in order of arrival */
void kernel_accept(const struct queue *queue, uint32_t id);
void kernel_accept_changed(const struct queue *queue, const struct held *held);
void kernel_drop(const struct queue *queue, uint32_t id);
void kernel_copy(const struct held *held, struct counters *counters);
void kernel_flush(void);

#endif
