/* The delay line of a pod: a directed link for each NFQUEUE of this network namespace.
 *
 *     line            serve commands on standard input until its end
 *     line --check    can it be done here? exit code 0, or why not on standard error
 *
 * Commands are lines, answered by one JSON object a line, in order:
 *
 *     queue N                 make queue N: packets pass through it untouched
 *     stage N NAME key=value… add or replace a stage of the link (keys: stage.c)
 *     unstage N NAME          remove it; packets that wait for it go on without
 *     close N                 let everything go, in order, then give the queue up
 *     renew                   leased stages stay for another LEASE_NS
 *     counters                what has been done, by queue
 *
 * At the end of input everything held is let go. When this process dies the kernel lets packets
 * pass, since the rules that send them here say so (--queue-bypass).
 */

#define _GNU_SOURCE
#include "nfqueue.h"
#include "queue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEASE_NS 10000000000LL
#define SLICE_NS 100000 /* the shortest there is */
#define LINE_MAX_BYTES 4096

static int64_t renewed_ns;

static void ok(void)
{
    puts("{\"ok\": true}");
}

static void refuse(const char *why)
{
    printf("{\"ok\": false, \"error\": \"%s\"}\n", why);
}

static int64_t release_all(int64_t now_ns)
{
    int64_t next_ns = INT64_MAX;
    for (struct queue *queue = queues; queue; queue = queue->next) {
        int64_t due_ns = queue_release(queue, now_ns);
        if (due_ns < next_ns)
            next_ns = due_ns;
    }
    kernel_flush();
    return next_ns;
}

/* After its stages changed: nothing waits in vain, and the kernel hands over what they need. */
static void adapt(struct queue *queue)
{
    int64_t now_ns = kernel_now_ns();
    queue_adapt(queue, now_ns);
    queue_release(queue, now_ns);
    kernel_flush();
    if (!kernel_configure(queue))
        refuse(kernel_error());
    else
        ok();
}

static void make(uint16_t number)
{
    struct queue *queue = queue_find(number);
    if (queue) {
        ok();
        return;
    }
    queue = calloc(1, sizeof *queue);
    if (!queue) {
        refuse("no memory");
        return;
    }
    queue->number = number;
    queue->whole = true;
    queue->next = queues;
    queues = queue;
    if (kernel_bind(queue) && kernel_configure(queue)) {
        ok();
        return;
    }
    queues = queue->next;
    free(queue);
    refuse(kernel_error());
}

static void empty(struct queue *queue)
{
    queue->stage_count = 0;
    queue_adapt(queue, kernel_now_ns());
    kernel_read();
    queue_release(queue, INT64_MAX - 1000000000LL);
    kernel_flush();
}

static void give_up(struct queue *queue)
{
    empty(queue);
    kernel_unbind(queue);
    struct queue **place = &queues;
    while (*place != queue)
        place = &(*place)->next;
    *place = queue->next;
    free(queue->ring);
    free(queue->heap);
    free(queue);
    ok();
}

static void set_stage(struct queue *queue, const char *name, char **rest)
{
    struct stage stage = {0};
    if (strlen(name) >= sizeof stage.name) {
        refuse("the stage's name is too long");
        return;
    }
    strcpy(stage.name, name);
    for (char *pair; (pair = strtok_r(NULL, " ", rest));) {
        const char *wrong = stage_set(&stage, pair);
        if (wrong) {
            refuse(wrong);
            return;
        }
    }
    renewed_ns = kernel_now_ns();
    if (queue_set_stage(queue, &stage))
        adapt(queue);
    else
        refuse("too many stages on one link");
}

static void counters(void)
{
    const char *comma = "";
    printf("{\"ok\": true, \"queues\": {");
    for (struct queue *queue = queues; queue; queue = queue->next) {
        const struct counters *c = &queue->counters;
        printf("%s\"%u\": {\"packets\": %llu, \"delayed\": %llu, \"dropped\": %llu, "
               "\"duplicated\": %llu, \"reordered\": %llu, \"corrupted\": %llu, "
               "\"refused\": %llu, \"late_us_max\": %.1f, \"waiting\": %zu, \"stages\": %d}",
               comma, queue->number, (unsigned long long)c->packets,
               (unsigned long long)c->delayed, (unsigned long long)c->dropped,
               (unsigned long long)c->duplicated, (unsigned long long)c->reordered,
               (unsigned long long)c->corrupted, (unsigned long long)c->refused,
               (double)c->late_ns_max / 1000, queue->ring_count + queue->heap_count,
               queue->stage_count);
        comma = ", ";
    }
    puts("}}");
}

static void command(char *line)
{
    char *rest, *verb = strtok_r(line, " ", &rest);
    if (!verb) {
        refuse("an empty command");
    } else if (!strcmp(verb, "renew")) {
        renewed_ns = kernel_now_ns();
        ok();
    } else if (!strcmp(verb, "counters")) {
        counters();
    } else {
        char *number = strtok_r(NULL, " ", &rest), *end;
        unsigned long n = number ? strtoul(number, &end, 10) : 65536;
        struct queue *queue = n < 65536 && !*end ? queue_find((uint16_t)n) : NULL;
        char *name = strcmp(verb, "stage") && strcmp(verb, "unstage") ? "" :
                     strtok_r(NULL, " ", &rest);
        if (n >= 65536 || *end)
            refuse("expected the number of a queue");
        else if (!strcmp(verb, "queue"))
            make((uint16_t)n);
        else if (!queue)
            refuse("no such queue");
        else if (!name)
            refuse("expected a stage's name");
        else if (!strcmp(verb, "stage"))
            set_stage(queue, name, &rest);
        else if (!strcmp(verb, "close"))
            give_up(queue);
        else if (strcmp(verb, "unstage"))
            refuse("unknown command");
        else if (queue_unset_stage(queue, name))
            adapt(queue);
        else
            ok();
    }
}

/* Read and answer commands; false at the end of input. */
static bool commands(void)
{
    static char buffer[LINE_MAX_BYTES];
    static size_t filled;
    ssize_t got = read(0, buffer + filled, sizeof buffer - filled);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0)
        return false;
    filled += (size_t)got;
    char *start = buffer, *end;
    while ((end = memchr(start, '\n', filled - (size_t)(start - buffer)))) {
        *end = 0;
        command(start);
        start = end + 1;
    }
    filled -= (size_t)(start - buffer);
    memmove(buffer, start, filled);
    if (filled == sizeof buffer) {
        refuse("the command is too long");
        filled = 0;
    }
    fflush(stdout);
    return true;
}

static bool any_leased(void)
{
    for (struct queue *queue = queues; queue; queue = queue->next)
        for (int k = 0; k < queue->stage_count; k++)
            if (queue->stages[k].leased)
                return true;
    return false;
}

/* The agent renews each second; when it hangs, the faults end all the same. */
static void expire(int64_t now_ns)
{
    if (now_ns - renewed_ns < LEASE_NS)
        return;
    for (struct queue *queue = queues; queue; queue = queue->next)
        if (queue_unset_stage(queue, NULL)) {
            queue_adapt(queue, now_ns);
            kernel_configure(queue);
        }
}

static void serve(void)
{
    struct pollfd files[] = {{.fd = 0, .events = POLLIN}, {.fd = kernel_file(), .events = POLLIN}};
    for (;;) {
        int64_t now_ns = kernel_now_ns(), next_ns = release_all(now_ns);
        if (any_leased()) {
            expire(now_ns);
            if (renewed_ns + LEASE_NS < next_ns)
                next_ns = renewed_ns + LEASE_NS;
        }
        int64_t wait_ns = next_ns - kernel_now_ns();
        if (wait_ns < 0)
            wait_ns = 0;
        struct timespec wait = {wait_ns / 1000000000LL, wait_ns % 1000000000LL};
        if (ppoll(files, 2, next_ns == INT64_MAX ? NULL : &wait, NULL) < 0)
            continue; /* a signal */
        if (files[1].revents)
            kernel_read();
        if (files[0].revents && !commands())
            break;
    }
    for (struct queue *queue = queues; queue; queue = queue->next)
        empty(queue);
}

/* Little at a time, and soon: since Linux 6.12 anyone may ask for that, and where it is refused the
 * line is as exact as the machine is idle. (struct sched_attr, which the C library does not have.) */
static void ask_for_short_slices(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {.size = sizeof attributes, .runtime = SLICE_NS};
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}

int main(int argc, char **argv)
{
    bool check = argc == 2 && !strcmp(argv[1], "--check");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1UL); /* nanoseconds; else each wait ends 0.05 ms late */
    ask_for_short_slices();
    setpriority(PRIO_PROCESS, 0, -20); /* refused without SYS_NICE, which nobody has to grant */
    signal(SIGPIPE, SIG_IGN);
    struct queue probe = {.number = 65535, .whole = true};
    if (!kernel_open() || (check && !(kernel_bind(&probe) && kernel_configure(&probe)))) {
        fprintf(stderr, "%s\n", kernel_error());
        return 1;
    }
    if (check)
        return 0;
    fcntl(0, F_SETFL, O_NONBLOCK);
    serve();
    return 0;
}
