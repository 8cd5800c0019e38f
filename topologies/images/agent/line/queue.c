/* Packets on a directed link, in the order in which they came.
 *
 * A packet waits in the kernel; here is only its number and when it is due. Due times never run
 * backwards, so the oldest packets are let go first, all of them with one verdict. Only packets
 * that a `reorder` holds back leave the order; while one of those waits, each other packet gets a
 * verdict of its own, because "up to this number" would let the late one go as well.
 */

#include "queue.h"

#include <stdlib.h>
#include <string.h>

#define SLACK_NS 20000 /* waking for the next packet costs as much: let it go with this one */

struct queue *queues;

struct queue *queue_find(uint16_t number)
{
    struct queue *queue = queues;
    while (queue && queue->number != number)
        queue = queue->next;
    return queue;
}

static void *grown(void *items, size_t count, size_t size)
{
    void *more = realloc(items, count * size);
    if (!more)
        abort(); /* the kernel drops what we held and, with a queue nobody reads, lets all pass */
    return more;
}

static struct held *ring_at(const struct queue *queue, size_t k)
{
    return &queue->ring[(queue->ring_first + k) % queue->ring_size];
}

static void ring_push(struct queue *queue, const struct held *held)
{
    if (queue->ring_count == queue->ring_size) {
        size_t old = queue->ring_size, size = old ? 2 * old : 1024;
        queue->ring = grown(queue->ring, size, sizeof *held);
        /* The wrapped part moves behind the old end; it always fits, as the size has doubled. */
        memcpy(queue->ring + old, queue->ring, queue->ring_first * sizeof *held);
        queue->ring_size = size;
    }
    *ring_at(queue, queue->ring_count++) = *held;
}

static void heap_push(struct queue *queue, const struct held *held)
{
    if (queue->heap_count == queue->heap_size) {
        queue->heap_size = queue->heap_size ? 2 * queue->heap_size : 256;
        queue->heap = grown(queue->heap, queue->heap_size, sizeof *held);
    }
    size_t k = queue->heap_count++;
    for (; k && queue->heap[(k - 1) / 2].due_ns > held->due_ns; k = (k - 1) / 2)
        queue->heap[k] = queue->heap[(k - 1) / 2];
    queue->heap[k] = *held;
}

static struct held heap_pop(struct queue *queue)
{
    struct held top = queue->heap[0], last = queue->heap[--queue->heap_count];
    size_t k = 0;
    for (;;) {
        size_t child = 2 * k + 1;
        if (child + 1 < queue->heap_count
            && queue->heap[child + 1].due_ns < queue->heap[child].due_ns)
            child++;
        if (child >= queue->heap_count || queue->heap[child].due_ns >= last.due_ns)
            break;
        queue->heap[k] = queue->heap[child];
        k = child;
    }
    queue->heap[k] = last;
    return top;
}

void queue_take(struct queue *queue, const struct packet *packet, int64_t now_ns)
{
    struct passage way = {.at_ns = now_ns, .bytes = packet->bytes};
    queue->counters.packets++;
    for (int k = 0; k < queue->stage_count && !way.lost; k++)
        stage_pass(&queue->stages[k], &way);
    if (way.lost) {
        queue->counters.dropped++;
        kernel_drop(queue, packet->id);
        return;
    }
    struct held held = {.due_ns = way.at_ns, .id = packet->id};
    if ((way.corrupt || way.copies) && packet->payload_bytes) {
        held.payload = malloc(packet->payload_bytes);
        if (held.payload) {
            memcpy(held.payload, packet->payload, packet->payload_bytes);
            held.bytes = packet->payload_bytes;
            held.corrupt = way.corrupt;
            held.copies = way.copies;
        }
    }
    queue->counters.delayed += way.at_ns > now_ns;
    if (way.late) {
        queue->counters.reordered++;
        heap_push(queue, &held);
        return;
    }
    if (held.due_ns < queue->last_due_ns)
        held.due_ns = queue->last_due_ns;
    queue->last_due_ns = held.due_ns;
    ring_push(queue, &held);
}

static void note_lateness(struct queue *queue, const struct held *held, int64_t now_ns)
{
    if (now_ns - held->due_ns > queue->counters.late_ns_max)
        queue->counters.late_ns_max = now_ns - held->due_ns;
}

/* Let one packet go that needs more than a plain verdict. */
static void let_go(struct queue *queue, struct held *held)
{
    if (held->corrupt) {
        queue->counters.corrupted++;
        kernel_accept_changed(queue, held);
    } else {
        kernel_accept(queue, held->id);
    }
    if (held->copies) {
        kernel_flush(); /* the original goes first */
        for (int k = 0; k < held->copies; k++)
            kernel_copy(held, &queue->counters);
    }
    free(held->payload);
    held->payload = NULL;
}

int64_t queue_release(struct queue *queue, int64_t now_ns)
{
    int64_t limit_ns = now_ns + SLACK_NS;
    bool plain = queue->heap_count == 0, some = false;
    uint32_t last = 0;
    while (queue->ring_count && ring_at(queue, 0)->due_ns <= limit_ns) {
        struct held *held = ring_at(queue, 0);
        note_lateness(queue, held, now_ns);
        if (plain && !held->payload) {
            last = held->id;
            some = true;
        } else {
            if (some)
                kernel_accept_up_to(queue, last);
            some = false;
            let_go(queue, held);
        }
        queue->ring_first = (queue->ring_first + 1) % queue->ring_size;
        queue->ring_count--;
    }
    if (some)
        kernel_accept_up_to(queue, last);
    while (queue->heap_count && queue->heap[0].due_ns <= limit_ns) {
        struct held held = heap_pop(queue);
        note_lateness(queue, &held, now_ns);
        let_go(queue, &held);
    }
    int64_t next_ns = queue->ring_count ? ring_at(queue, 0)->due_ns : INT64_MAX;
    if (queue->heap_count && queue->heap[0].due_ns < next_ns)
        next_ns = queue->heap[0].due_ns;
    return next_ns;
}

void queue_adapt(struct queue *queue, int64_t now_ns)
{
    int64_t latest_ns = now_ns;
    enum copy copy = COPY_NONE;
    bool whole = true;
    for (int k = 0; k < queue->stage_count; k++) {
        const struct stage *stage = &queue->stages[k];
        latest_ns += stage_hold_ns(stage);
        if (stage->free_ns > now_ns)
            latest_ns += stage->free_ns - now_ns;
        if (stage->rate_bps > 0 && copy < COPY_HEADER)
            copy = COPY_HEADER;
        if (stage->duplicate > 0 || stage->corrupt > 0)
            copy = COPY_ALL;
        whole = whole && !stage_per_packet(stage);
    }
    queue->copy = copy;
    queue->whole = whole;
    /* The smaller of two numbers keeps every order. */
    for (size_t k = 0; k < queue->ring_count; k++)
        if (ring_at(queue, k)->due_ns > latest_ns)
            ring_at(queue, k)->due_ns = latest_ns;
    for (size_t k = 0; k < queue->heap_count; k++)
        if (queue->heap[k].due_ns > latest_ns)
            queue->heap[k].due_ns = latest_ns;
    if (queue->last_due_ns > latest_ns)
        queue->last_due_ns = latest_ns;
}

bool queue_set_stage(struct queue *queue, const struct stage *stage)
{
    int k = 0;
    while (k < queue->stage_count && strcmp(queue->stages[k].name, stage->name))
        k++;
    if (k == STAGES_MAX)
        return false;
    /* What does not end by itself is the link as it always is, and comes first. */
    if (k == queue->stage_count) {
        queue->stage_count++;
        for (; !stage->leased && k > 0 && queue->stages[k - 1].leased; k--)
            queue->stages[k] = queue->stages[k - 1];
    }
    queue->stages[k] = *stage;
    return true;
}

bool queue_unset_stage(struct queue *queue, const char *name)
{
    int kept = 0, count = queue->stage_count;
    for (int k = 0; k < count; k++) {
        const struct stage *stage = &queue->stages[k];
        if (name ? strcmp(stage->name, name) != 0 : !stage->leased) {
            if (kept != k)
                queue->stages[kept] = *stage;
            kept++;
        }
    }
    queue->stage_count = kept;
    return kept != count;
}
